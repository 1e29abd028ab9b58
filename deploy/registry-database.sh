#!/bin/sh
# Runs once, when the database server is first started: a database and a role for the schema registry.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$(head -n 1 /run/secrets/registry_password)" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE registry LOGIN PASSWORD :'password';
CREATE DATABASE registry OWNER registry;
SQL
