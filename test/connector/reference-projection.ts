/**
 * A plain, slow projection of EPSA documents, written from FASTAAPS's contract and from nothing else: it knows neither
 * connectors/epsa.yaml nor the compiler. Rows hold PostgreSQL's text of each value, numbers keep their digits.
 */

export type Row = Readonly<Record<string, string | null>>;
export type Rows = Readonly<Record<string, readonly Row[]>>;

/** A JSON number by its digits. */
export class Digits {
  readonly digits: string;
  constructor(digits: string) {
    this.digits = digits;
  }
}

export type Json = string | Digits | Json[] | { [name: string]: Json };

export interface ReferenceDocument {
  document: { [name: string]: Json };
  /** Paths of missing required fields. */
  problems: string[];
}

type Members = Record<string, Json | null>;

/** Documents by id; an id that is not in `epsa` has none. */
export function referenceDocuments(rows: Rows): Map<string, ReferenceDocument> {
  const find = finder(rows);
  return new Map(find.all('epsa').map((epsa) => [epsa.id_epsa!, referenceDocument(epsa, find)]));
}

function referenceDocument(epsa: Row, find: Finder): ReferenceDocument {
  const id = epsa.id_epsa!;
  const problems: string[] = [];
  const own = (table: string, key = [`id_${table}`]) => ascending(find.by(table, 'id_epsa', id), key);
  const highest = (table: string) => own(table).at(-1);
  const need = (path: string, members: Members, required: string[]): { [name: string]: Json } => {
    for (const name of required) if ((members[name] ?? null) === null) problems.push(`${path}.${name}`);
    return withoutNull(members);
  };
  const list = (
    name: string,
    all: readonly Row[],
    members: (row: Row, path: string) => Members,
    required: string[] = [],
  ) =>
    all.length === 0 ? null : all.map((row, at) => need(`${name}[${at}]`, members(row, `${name}[${at}]`), required));

  const juridical = highest('estatus_juridico');
  const technical = highest('informacion_tecnica');
  const document: Members = {
    informacion_general: need(
      'informacion_general',
      {
        id_siirays: number(epsa.id_epsa),
        codigo: text(epsa.codigo_epsa),
        sigla: text(epsa.sigla_epsa),
        nombre: text(epsa.nombre_epsa),
        ...same(epsa, ['telefonos', 'fax', 'correo_electronico', 'direccion', 'web', 'observacion']),
      },
      ['id_siirays'],
    ),
    representante: list('representante', own('representante'), (row) => {
      const rar = find.one('rar', 'id_rar', row.id_rar);
      return {
        nombre: text(row.nombre_representante),
        ...same(row, ['cargo', 'telefono', 'celular', 'correo']),
        ...same(rar, ['numero_resolucion', 'fecha_resolucion', 'descripcion_resolucion']),
        ...same(find.one('tipo_contacto', 'id_tipo_contacto', row.id_tipo_contacto), ['tipo_contacto']),
      };
    }),
    ubicacion: list('ubicacion', own('ubicacion', ['id_epsa', 'id_localidad']), (row) =>
      same(find.one('localidad', 'id_localidad', row.id_localidad), LOCALIDAD),
    ),
    estatus_juridico:
      juridical === undefined
        ? null
        : need(
            'estatus_juridico',
            {
              ...same(juridical, ['numero_resolucion', 'fecha_resolucion']),
              ...same(find.one('entidad', 'id_entidad', juridical.id_entidad), ENTIDAD),
            },
            ['fecha_resolucion'],
          ),
    documentos_acreditacion: list(
      'documentos_acreditacion',
      own('documento_acreditacion'),
      (row) => {
        const type = find.one('tipo_acreditacion', 'id_tipo_acreditacion', row.id_tipo_acreditacion);
        return { tipo: text(type.tipo_documento_acreditacion), descripcion: text(type.descripcion_acreditacion) };
      },
      ['tipo', 'descripcion'],
    ),
    demografia_cobertura: list('demografia_cobertura', own('demografia_cobertura'), (row) => ({
      localidad: text(find.one('localidad', 'id_localidad', row.id_localidad).localidad),
      ...numbers(row, ['poblacion_total', 'poblacion_atendida_ap', 'numero_viviendas_ap', 'porcentaje_cobertura_ap']),
      ...numbers(row, ['poblacion_atendida_as', 'porcentaje_cobertura_as', 'porcentaje_cobertura_ptar']),
      numbero_viviendas_as: number(row.numero_viviendas_as),
    })),
    instalaciones: list('instalaciones', own('instalacion'), (row, path) => ({
      edad: number(row.edad_fuente),
      tipo: text(find.one('tipo_fuente', 'id_tipo_fuente', row.id_tipo_fuente).descripcion_tipo_fuente),
      estado: text(find.one('estado_fuente', 'id_estado_fuente', row.id_estado_fuente).estado_fuente),
      fuente_financiamiento: financing(row, path),
    })),
    informacion_tecnica: technical === undefined ? null : withoutNull(numbers(technical, TECHNICAL)),
    problemas_contaminacion: text(highest('problemas_contaminacion')?.descripcion),
    sistemas_ap: texts(
      own('sistema_ap').map(
        (row) => find.one('tipo_sistema_ap', 'id_tipo_sistema_ap', row.id_tipo_sistema_ap).descripcion_tipo_sistema_ap,
      ),
    ),
    tratamiento_ar: list(
      'tratamiento_ar',
      own('tratamiento_agua_residual'),
      (row) => ({
        ...numbers(row, ['cantidad', 'instalada', 'operada', 'anio_inicio']),
        ...numbers(row, ['coordenada_x', 'coordenada_y', 'coordenada_z']),
        zona_utm: text(row.zona_utm),
        tipo: text(
          find.one('tipo_tratamiento_ar', 'id_tipo_tratamiento_ar', row.id_tipo_tratamiento_ar).descripcion_tratamiento,
        ),
      }),
      ['cantidad', 'instalada', 'operada', 'anio_inicio', 'tipo'],
    ),
    tuberias: list(
      'tuberias',
      own('tecnica_tuberia'),
      (row) => ({
        longitud_total: number(row.longitud_total),
        localidad: text(find.one('localidad', 'id_localidad', row.id_localidad).localidad),
        sector: text(find.one('sector', 'id_sector', row.id_sector).sector),
        material: text(find.one('material_tuberia', 'id_material_tuberia', row.id_material_tuberia).material_tuberia),
      }),
      ['localidad', 'sector', 'material'],
    ),
    tecnicas_as: text(
      find.one('opcion_tecnica', 'id_opcion_tecnica', highest('tecnica_as')?.id_opcion_tecnica).opcion_tecnica,
    ),
    descarga_ar: list(
      'descarga_ar',
      own('descarga_ar'),
      (row) => ({
        cuerpo_receptor: text(row.nombre_cuerpo_receptor),
        ...numbers(row, ['coordenada_x', 'coordenada_y']),
        zona_utm: text(row.zona_utm),
        tipo_cuerpo_receptor: text(
          find.one('cuerpo_receptor', 'id_cuerpo_receptor', row.id_cuerpo_receptor).cuerpo_receptor,
        ),
      }),
      ['tipo_cuerpo_receptor'],
    ),
    funcionarios: list(
      'funcionarios',
      own('funcionarios'),
      (row) => ({
        numero_funcionarios: number(row.numero_funcionarios),
        tipo_funcionario: text(
          find.one('tipo_funcionario', 'id_tipo_funcionario', row.id_tipo_funcionario).tipo_funcionario,
        ),
      }),
      ['tipo_funcionario'],
    ),
    ingresos: list(
      'ingresos',
      own('ingresos'),
      (row) => ({
        monto: number(row.monto),
        observacion: text(row.observacion),
        concepto: text(find.one('tipo_ingreso', 'id_tipo_ingreso', row.id_tipo_ingreso).concepto),
        periodo_pago: text(find.one('periodo_pago', 'id_periodo_pago', row.id_periodo_pago).periodo_pago),
      }),
      ['concepto', 'periodo_pago'],
    ),
    identificacion_problemas: list(
      'identificacion_problemas',
      own('identificacion_problemas'),
      (row) => ({
        ...same(row, ['descripcion', 'efecto', 'acciones_actuales']),
        tipo_problema: text(
          find.one('tipo_sistema_problema', 'id_tipo_problema', row.id_tipo_problema).descripcion_tipo_problema,
        ),
      }),
      ['descripcion', 'efecto', 'acciones_actuales', 'tipo_problema'],
    ),
    requerimiento_desarrollo: list(
      'requerimiento_desarrollo',
      own('requerimiento_desarrollo'),
      (row) => ({
        descripcion: text(row.descripcion),
        tipo: text(
          find.one('tipo_requerimiento', 'id_tipo_requerimiento', row.id_tipo_requerimiento)
            .descripcion_tipo_requerimiento,
        ),
      }),
      ['descripcion', 'tipo'],
    ),
  };
  return { document: withoutNull(document), problems };

  /** Among equals in id_fuente_financiamiento the greatest text of the shown columns counts, NULL being the least. */
  function financing(installation: Row, path: string): Json | null {
    const rows = find
      .by('instalacion_fuente_financiamiento', 'id_instalacion', installation.id_instalacion!)
      .filter((row) => row.id_epsa === id);
    const [row] = rows.toSorted(
      (a, b) =>
        -(compareIds(a.id_fuente_financiamiento!, b.id_fuente_financiamiento!) || compareTexts(a, b, PERCENTAGES)),
    );
    if (row === undefined) return null;
    const source = find.one('fuente_financiamiento', 'id_fuente_financiamiento', row.id_fuente_financiamiento);
    const members: Members = {
      nombre: text(source.fuente_financiamiento),
      descripcion: text(source.descripcion_fuente_financiamien),
      ...numbers(row, PERCENTAGES),
    };
    return need(`${path}.fuente_financiamiento`, members, ['nombre', 'descripcion', ...PERCENTAGES]);
  }
}

const LOCALIDAD = [
  ...['codigo_ine', 'cod_departamento', 'departamento', 'cod_provincia', 'provincia', 'cod_municipio', 'municipio'],
  ...['cod_comunidad', 'comunidad', 'latitud', 'longitud', 'localidad'],
];
const ENTIDAD = ['nombre_entidad', 'sigla_entidad', 'direccion', 'telefonos', 'fax', 'web', 'correo_electronico'];
const TECHNICAL = [
  ...[
    'numero_conexiones_ap',
    'numero_piletas_publicas',
    'numero_conexions_as',
    'numero_camaras_septicas_domiciliarias',
  ],
  ...['numero_letrinas', 'numero_banios_publicos', 'pozo_ciego', 'numero_conexiones_ap_medidor', 'dotacion_per_capita'],
  ...['continuidad_servicio_ap', 'continuidad_servicio_epoca_seca', 'porcentaje_perdida_red'],
];
const PERCENTAGES = ['porcentaje_credito', 'porcentaje_donacion', 'porcentaje_aporte_propio', 'porcentaje_otros'];

interface Finder {
  all(table: string): readonly Row[];
  by(table: string, column: string, value: string): readonly Row[];
  /** The row of a catalogue; one without columns where there is none. */
  one(table: string, column: string, value: string | null | undefined): Row;
}

function finder(rows: Rows): Finder {
  const groups = new Map<string, Map<string | null, Row[]>>();
  const all = (table: string) => rows[table] ?? [];
  const by = (table: string, column: string, value: string) => {
    const name = `${table}.${column}`;
    if (!groups.has(name))
      groups.set(
        name,
        Map.groupBy(all(table), (row) => row[column] ?? null),
      );
    return groups.get(name)!.get(value) ?? [];
  };
  const one = (table: string, column: string, value: string | null | undefined) =>
    (value === null || value === undefined ? undefined : by(table, column, value)[0]) ?? {};
  return { all, by, one };
}

function ascending(rows: readonly Row[], key: readonly string[]): Row[] {
  return rows.toSorted((a, b) => {
    for (const column of key) {
      const order = compareIds(a[column]!, b[column]!);
      if (order !== 0) return order;
    }
    return 0;
  });
}

function compareIds(a: string | null, b: string | null): number {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  return Math.sign(Number(BigInt(a) - BigInt(b)));
}

function compareTexts(a: Row, b: Row, columns: readonly string[]): number {
  for (const column of columns) {
    const [left, right] = [a[column] ?? null, b[column] ?? null];
    if (left === right) continue;
    if (left === null || right === null) return Number(left !== null) - Number(right !== null);
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return 0;
}

function text(value: string | null | undefined): string | null {
  return value ?? null;
}

function number(value: string | null | undefined): Json | null {
  if (value === null || value === undefined) return null;
  return ['NaN', 'Infinity', '-Infinity'].includes(value) ? value : new Digits(value);
}

function same(row: Row, columns: readonly string[]): Members {
  return Object.fromEntries(columns.map((column) => [column, text(row[column])]));
}

function numbers(row: Row, columns: readonly string[]): Members {
  return Object.fromEntries(columns.map((column) => [column, number(row[column])]));
}

function texts(values: readonly (string | null | undefined)[]): Json[] | null {
  const present = values.filter((value) => value !== null && value !== undefined);
  return present.length === 0 ? null : present;
}

function withoutNull(members: Members): { [name: string]: Json } {
  return Object.fromEntries(Object.entries(members).filter((entry): entry is [string, Json] => entry[1] !== null));
}

/** JSON text with the names of every object in order, numbers by their digits. */
export function canonicalText(json: Json | null): string {
  if (json === null) return 'null';
  if (json instanceof Digits) return json.digits;
  if (typeof json === 'string') return JSON.stringify(json);
  if (Array.isArray(json)) return `[${json.map(canonicalText).join(',')}]`;
  const names = Object.keys(json).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalText(json[name]!)}`).join(',')}}`;
}

/** Reads JSON text, numbers by their digits (ECMAScript proposal "JSON.parse source text access", in Node 24). */
export function parseDigits(json: string): Json {
  const keep = (_: string, value: unknown, context?: { source: string }) =>
    typeof value === 'number' ? new Digits(context!.source) : value;
  return JSON.parse(json, keep as (key: string, value: unknown) => unknown) as Json;
}
