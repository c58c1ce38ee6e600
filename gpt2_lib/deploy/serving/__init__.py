"""Serving over HTTP: the server, its handle, a load test, and the manifests for a cluster.

Import `deploy_to_production` from `service`, `Settings`, `create_app` and `main` from `serve`, `load_test` from
`load_test` and `validate` from `kubernetes`; the other files are their parts.
"""
