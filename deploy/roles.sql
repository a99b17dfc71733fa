-- Two roles: one owns the tables and migrates; the servers run as the other, which cannot alter tables. As superuser:
-- NEXGENT_OWNER_PASSWORD=… NEXGENT_APP_PASSWORD=… psql -f deploy/roles.sql (psql 14 or newer)
-- Run again, it makes what is missing (after a restore, say, the database), and sets these passwords.
\set ON_ERROR_STOP on
\getenv owner_password NEXGENT_OWNER_PASSWORD
\getenv app_password NEXGENT_APP_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['nexgent_owner', 'nexgent_app']) AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE nexgent_owner PASSWORD :'owner_password';
ALTER ROLE nexgent_app PASSWORD :'app_password';
-- A migration that waits for a lock blocks every writer behind it: let it give up, to be run again.
ALTER ROLE nexgent_owner SET lock_timeout = '5s';
ALTER ROLE nexgent_app SET idle_in_transaction_session_timeout = '60s';

SELECT 'CREATE DATABASE nexgent OWNER nexgent_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'nexgent') \gexec
\connect nexgent
REVOKE ALL ON DATABASE nexgent FROM PUBLIC;
GRANT CONNECT ON DATABASE nexgent TO nexgent_app;
ALTER SCHEMA public OWNER TO nexgent_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO nexgent_app;
-- Also for tables that future migrations create.
ALTER DEFAULT PRIVILEGES FOR ROLE nexgent_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO nexgent_app;
ALTER DEFAULT PRIVILEGES FOR ROLE nexgent_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO nexgent_app;
