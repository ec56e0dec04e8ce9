#!/bin/sh
# In the container of MLflow: `prepare` makes the tables and the bucket, `serve` is the server.
set -eu

secret() { cat "${SECRETS:-/run/secrets}/$1"; }

PGPASSWORD=$(secret database_password)
AWS_ACCESS_KEY_ID=$(secret minio_user)
AWS_SECRET_ACCESS_KEY=$(secret minio_password)
MLFLOW_AUTH_ADMIN_USERNAME=$(secret admin_user)
MLFLOW_AUTH_ADMIN_PASSWORD=$(secret admin_password)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret flask_key)
AWS_DEFAULT_REGION=us-east-1 # MinIO's
export PGPASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION
export MLFLOW_AUTH_ADMIN_USERNAME MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY

case ${1-} in
prepare)
  mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"
  exec python - "${MLFLOW_ARTIFACTS_DESTINATION#s3://}" << 'END'
import os
import sys

import boto3

store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
if sys.argv[1] not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
    store.create_bucket(Bucket=sys.argv[1])
END
  ;;
serve)
  exec mlflow server --host 0.0.0.0 --port 5000 --workers 1 --app-name basic-auth \
    --serve-artifacts --artifacts-destination "$MLFLOW_ARTIFACTS_DESTINATION"
  ;;
*)
  echo "${1-}: prepare or serve" >&2
  exit 2
  ;;
esac
