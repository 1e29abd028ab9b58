-- What SIIRAyS's owner runs once, in the database siirays2019: a role that may read and replicate and nothing else, and
-- the publication that says which tables are streamed. Idempotent. The password is set apart:
--   ALTER ROLE siirays_sync PASSWORD '...';
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'siirays_sync') THEN
    CREATE ROLE siirays_sync LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 20;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO siirays_sync', current_database());
END $$;

-- Before PostgreSQL 15 everybody may create tables in the schema public; this role's transactions only read.
ALTER ROLE siirays_sync SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA public TO siirays_sync;

DO $$
DECLARE
  names text[] := ARRAY[
    'epsa', 'representante', 'rar', 'tipo_contacto', 'ubicacion', 'localidad', 'estatus_juridico', 'entidad',
    'documento_acreditacion', 'tipo_acreditacion', 'demografia_cobertura', 'instalacion', 'tipo_fuente', 'estado_fuente',
    'instalacion_fuente_financiamiento', 'fuente_financiamiento', 'informacion_tecnica', 'problemas_contaminacion',
    'sistema_ap', 'tipo_sistema_ap', 'tratamiento_agua_residual', 'tipo_tratamiento_ar', 'tecnica_tuberia', 'sector',
    'material_tuberia', 'tecnica_as', 'opcion_tecnica', 'descarga_ar', 'cuerpo_receptor', 'funcionarios',
    'tipo_funcionario', 'ingresos', 'tipo_ingreso', 'periodo_pago', 'identificacion_problemas', 'tipo_sistema_problema',
    'requerimiento_desarrollo', 'tipo_requerimiento'];
  name text;
BEGIN
  -- Created empty, and filled only with tables that have a replica identity: PostgreSQL refuses UPDATE and DELETE on a
  -- published table without one (manual, 29.1.1), and SIIRAyS must never fail because of us.
  IF NOT EXISTS (SELECT 1 FROM pg_publication WHERE pubname = 'siirays_sync') THEN
    CREATE PUBLICATION siirays_sync;
  END IF;
  FOREACH name IN ARRAY names LOOP
    EXECUTE format('GRANT SELECT ON public.%I TO siirays_sync', name);
    IF EXISTS (SELECT 1 FROM pg_publication_tables
                WHERE pubname = 'siirays_sync' AND schemaname = 'public' AND tablename = name) THEN
      CONTINUE;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND c.relname = name
                  AND ((c.relreplident = 'f' AND NOT (current_setting('server_version_num')::int >= 180000 AND EXISTS (
                                -- The whole row with a generated column is no identity for PostgreSQL 18.
                                SELECT 1 FROM pg_attribute WHERE attrelid = c.oid AND attgenerated <> '' AND NOT attisdropped)))
                       OR (c.relreplident = 'd' AND EXISTS (SELECT 1 FROM pg_index
                            WHERE indrelid = c.oid AND indisprimary AND indimmediate))
                       OR (c.relreplident = 'i' AND EXISTS (SELECT 1 FROM pg_index WHERE indrelid = c.oid AND indisreplident)))) THEN
      EXECUTE format('ALTER PUBLICATION siirays_sync ADD TABLE public.%I', name);
    ELSE
      RAISE WARNING 'public.% has no replica identity and is not published; run: ALTER TABLE public.% REPLICA IDENTITY FULL', name, name;
    END IF;
  END LOOP;
END $$;
