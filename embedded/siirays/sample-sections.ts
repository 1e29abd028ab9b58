/** The root table of SIIRAyS and the tables whose rows belong to one EPSA. */
import { MUNICIPALITIES } from './sample-places.ts';
import type { Prng } from './sample-prng.ts';
import type { Section, TableModel } from './sample-table.ts';
import {
  type Cell,
  date,
  double,
  lastName,
  longRemark,
  numeric,
  numericOrNull,
  personName,
  phone,
  remark,
  resolution,
  sentence,
  sureText,
  textOr,
} from './sample-values.ts';

/** Texts have no limit of their own in `text` columns; this one only bounds the sample. */
const TEXT = 100_000;

const KINDS_OF_EPSA = [
  'Comité de Agua Potable y Saneamiento',
  'Cooperativa de Servicios de Agua Potable',
  'EPSA Municipal',
  'Asociación de Usuarios',
  'Junta Vecinal',
  'Pueblo Indígena Originario',
];

/** EPSAs with such ids have a long text for certain. */
const LONG_REMARK_EVERY = 60;

export const EPSA: TableModel = {
  name: 'epsa',
  columns: {
    id_epsa: 'integer',
    codigo_epsa: 'varchar(20)',
    sigla_epsa: 'varchar(60)',
    nombre_epsa: 'varchar(200)',
    telefonos: 'varchar(80)',
    fax: 'varchar(80)',
    correo_electronico: 'varchar(120)',
    direccion: 'varchar(200)',
    web: 'varchar(120)',
    observacion: 'text',
  },
  ownId: true,
  values(prng, _world, id) {
    const place = prng.pick(MUNICIPALITIES);
    return [
      textOr(prng, 20, () => `EPSA-${place.code}-${id}`),
      textOr(prng, 60, () => `CAPyS ${place.name}`),
      textOr(prng, 200, () => `${prng.pick(KINDS_OF_EPSA)} ${place.name}`),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 120, () => `epsa${id}@agua.bo`),
      textOr(prng, 200, () => `Calle ${lastName(prng)} N° ${prng.int(2000)}, ${place.name}`),
      textOr(prng, 120, () => `https://epsa${id}.bo/?q=a&b=c`),
      id % LONG_REMARK_EVERY === 0 ? longRemark(prng) : textOr(prng, TEXT, () => remark(prng)),
    ];
  },
};

const ids = (own: string) => ({ [own]: 'integer', id_epsa: 'integer' });

const numericColumns = (names: readonly string[], type: string) =>
  Object.fromEntries(names.map((name) => [name, type]));

const TECHNICAL_NUMBERS = [
  'numero_conexiones_ap',
  'numero_piletas_publicas',
  'numero_conexions_as',
  'numero_camaras_septicas_domiciliarias',
  'numero_letrinas',
  'numero_banios_publicos',
  'pozo_ciego',
  'numero_conexiones_ap_medidor',
  'dotacion_per_capita',
  'continuidad_servicio_ap',
  'continuidad_servicio_epoca_seca',
  'porcentaje_perdida_red',
];

const zone = (prng: Prng): Cell => textOr(prng, 10, () => prng.pick(['19K', '20K', '19L', '20L', '21K']));

const small = (prng: Prng, limit: number): Cell => (prng.chance(0.1) ? null : String(prng.int(limit)));

/** The table without a key; its rows also name an installation of the same EPSA. */
export const FUNDING = 'instalacion_fuente_financiamiento';

/** The sections, in the order of schema.sql. */
export const SECTIONS: readonly Section[] = [
  {
    name: 'representante',
    columns: {
      ...ids('id_representante'),
      nombre_representante: 'varchar(160)',
      cargo: 'varchar(120)',
      telefono: 'varchar(80)',
      celular: 'varchar(80)',
      correo: 'varchar(120)',
      id_rar: 'integer',
      id_tipo_contacto: 'integer',
    },
    ownId: true,
    counts: [0, 1, 1, 2, 2, 3, 5],
    required: [],
    values: (prng, world) => [
      textOr(prng, 160, () => personName(prng)),
      textOr(prng, 120, () => prng.pick(['Presidente', 'Gerente', 'Tesorera', 'Secretario de actas'])),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 120, () => `${lastName(prng).toLowerCase()}${prng.int(100)}@correo.bo`),
      world.some(prng, 'rar'),
      world.some(prng, 'tipo_contacto'),
    ],
  },
  {
    name: 'ubicacion',
    columns: { id_epsa: 'integer', id_localidad: 'integer' },
    ownId: false,
    counts: [0, 1, 1, 1, 2, 2, 4],
    required: [],
    values: (prng, world) => [world.some(prng, 'localidad') ?? world.sure(prng, 'localidad')],
  },
  {
    name: 'estatus_juridico',
    columns: {
      ...ids('id_estatus_juridico'),
      numero_resolucion: 'varchar(60)',
      fecha_resolucion: 'date',
      id_entidad: 'integer',
    },
    ownId: true,
    counts: [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2],
    required: ['fecha_resolucion'],
    values: (prng, world) => [textOr(prng, 60, () => resolution(prng)), date(prng), world.some(prng, 'entidad')],
  },
  {
    name: 'documento_acreditacion',
    columns: { ...ids('id_documento_acreditacion'), id_tipo_acreditacion: 'integer' },
    ownId: true,
    counts: [0, 1, 2, 2, 3, 5],
    required: ['id_tipo_acreditacion'],
    values: (prng, world) => [world.sure(prng, 'tipo_acreditacion')],
  },
  {
    name: 'demografia_cobertura',
    columns: {
      ...ids('id_demografia_cobertura'),
      id_localidad: 'integer',
      poblacion_total: 'integer',
      poblacion_atendida_ap: 'numeric(12,2)',
      numero_viviendas_ap: 'numeric(12,2)',
      porcentaje_cobertura_ap: 'numeric(6,2)',
      poblacion_atendida_as: 'numeric(12,2)',
      numero_viviendas_as: 'numeric(12,2)',
      porcentaje_cobertura_as: 'numeric(6,2)',
      porcentaje_cobertura_ptar: 'numeric(6,2)',
    },
    ownId: true,
    counts: [0, 1, 1, 2, 3, 5],
    required: [],
    values: (prng, world) => [
      world.some(prng, 'localidad'),
      small(prng, 200_000),
      numericOrNull(prng, 12, 2, 100_000),
      numericOrNull(prng, 12, 2, 20_000),
      numericOrNull(prng, 6, 2, 101),
      numericOrNull(prng, 12, 2, 100_000),
      numericOrNull(prng, 12, 2, 20_000),
      numericOrNull(prng, 6, 2, 101),
      numericOrNull(prng, 6, 2, 101),
    ],
  },
  {
    name: 'instalacion',
    columns: {
      ...ids('id_instalacion'),
      edad_fuente: 'numeric(8,2)',
      id_tipo_fuente: 'integer',
      id_estado_fuente: 'integer',
    },
    ownId: true,
    counts: [0, 1, 2, 3, 4, 8],
    required: [],
    values: (prng, world) => [
      numericOrNull(prng, 8, 2, 60),
      world.some(prng, 'tipo_fuente'),
      world.some(prng, 'estado_fuente'),
    ],
  },
  {
    name: FUNDING,
    columns: {
      id_epsa: 'integer',
      id_instalacion: 'integer',
      id_fuente_financiamiento: 'integer',
      ...numericColumns(
        ['porcentaje_credito', 'porcentaje_donacion', 'porcentaje_aporte_propio', 'porcentaje_otros'],
        'numeric(6,2)',
      ),
    },
    ownId: false,
    /** Per installation, not per EPSA. */
    counts: [0, 1, 1, 2],
    required: ['porcentaje_credito', 'porcentaje_donacion', 'porcentaje_aporte_propio', 'porcentaje_otros'],
    /** Without id_instalacion, which must be one of the EPSA's own. */
    values: (prng, world) => [
      world.sure(prng, 'fuente_financiamiento'),
      numeric(prng, 6, 2, 101),
      numeric(prng, 6, 2, 101),
      numeric(prng, 6, 2, 101),
      numeric(prng, 6, 2, 101),
    ],
  },
  {
    name: 'informacion_tecnica',
    columns: { ...ids('id_informacion_tecnica'), ...numericColumns(TECHNICAL_NUMBERS, 'numeric(12,2)') },
    ownId: true,
    counts: [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
    required: [],
    values: (prng) => TECHNICAL_NUMBERS.map(() => numericOrNull(prng, 12, 2, 5_000)),
  },
  {
    name: 'problemas_contaminacion',
    columns: { ...ids('id_problemas_contaminacion'), descripcion: 'text' },
    ownId: true,
    counts: [0, 0, 1, 1, 1, 1, 1, 1, 2],
    required: [],
    values: (prng) => [textOr(prng, TEXT, () => remark(prng))],
  },
  {
    name: 'sistema_ap',
    columns: { ...ids('id_sistema_ap'), id_tipo_sistema_ap: 'integer' },
    ownId: true,
    counts: [0, 1, 2, 2, 3, 4],
    required: [],
    values: (prng, world) => [world.some(prng, 'tipo_sistema_ap')],
  },
  {
    name: 'tratamiento_agua_residual',
    columns: {
      ...ids('id_tratamiento_agua_residual'),
      cantidad: 'numeric(12,2)',
      instalada: 'numeric(12,2)',
      operada: 'numeric(8,2)',
      anio_inicio: 'integer',
      coordenada_x: 'double precision',
      coordenada_y: 'double precision',
      coordenada_z: 'double precision',
      zona_utm: 'varchar(10)',
      id_tipo_tratamiento_ar: 'integer',
    },
    ownId: true,
    counts: [0, 0, 1, 1, 2, 3],
    required: ['cantidad', 'instalada', 'operada', 'anio_inicio', 'id_tipo_tratamiento_ar'],
    values: (prng, world) => [
      numeric(prng, 12, 2, 20),
      numeric(prng, 12, 2, 500),
      numeric(prng, 8, 2, 500),
      prng.chance(0.03) ? '0' : String(prng.between(1950, 2019)),
      double(prng, 200_000, 800_000),
      double(prng, 7_500_000, 8_900_000),
      double(prng, 100, 4_500),
      zone(prng),
      world.sure(prng, 'tipo_tratamiento_ar'),
    ],
  },
  {
    name: 'tecnica_tuberia',
    columns: {
      ...ids('id_tecnica_tuberia'),
      longitud_total: 'numeric(14,2)',
      id_localidad: 'integer',
      id_sector: 'integer',
      id_material_tuberia: 'integer',
    },
    ownId: true,
    counts: [0, 2, 4, 5, 6, 13],
    required: ['id_localidad', 'id_sector', 'id_material_tuberia'],
    values: (prng, world) => [
      numericOrNull(prng, 14, 2, 50_000),
      world.sure(prng, 'localidad'),
      world.sure(prng, 'sector'),
      world.sure(prng, 'material_tuberia'),
    ],
  },
  {
    name: 'tecnica_as',
    columns: { ...ids('id_tecnica_as'), id_opcion_tecnica: 'integer' },
    ownId: true,
    counts: [0, 1, 1, 1, 1],
    required: [],
    values: (prng, world) => [world.some(prng, 'opcion_tecnica')],
  },
  {
    name: 'descarga_ar',
    columns: {
      ...ids('id_descarga_ar'),
      nombre_cuerpo_receptor: 'varchar(120)',
      coordenada_x: 'double precision',
      coordenada_y: 'double precision',
      zona_utm: 'varchar(10)',
      id_cuerpo_receptor: 'integer',
    },
    ownId: true,
    counts: [0, 1, 1, 1, 2],
    required: ['id_cuerpo_receptor'],
    values: (prng, world) => [
      textOr(prng, 120, () => `Río ${lastName(prng)}`),
      double(prng, 200_000, 800_000),
      double(prng, 7_500_000, 8_900_000),
      zone(prng),
      world.sure(prng, 'cuerpo_receptor'),
    ],
  },
  {
    name: 'funcionarios',
    columns: { ...ids('id_funcionarios'), numero_funcionarios: 'integer', id_tipo_funcionario: 'integer' },
    ownId: true,
    counts: [0, 2, 3, 4, 5, 10],
    required: ['id_tipo_funcionario'],
    values: (prng, world) => [small(prng, 30), world.sure(prng, 'tipo_funcionario')],
  },
  {
    name: 'ingresos',
    columns: {
      ...ids('id_ingresos'),
      monto: 'numeric(14,2)',
      observacion: 'text',
      id_tipo_ingreso: 'integer',
      id_periodo_pago: 'integer',
    },
    ownId: true,
    counts: [0, 3, 5, 6, 8, 20],
    required: ['id_tipo_ingreso', 'id_periodo_pago'],
    values: (prng, world) => [
      numericOrNull(prng, 14, 2, 500_000),
      textOr(prng, TEXT, () => sentence(prng, prng.between(1, 12))),
      world.sure(prng, 'tipo_ingreso'),
      world.sure(prng, 'periodo_pago'),
    ],
  },
  {
    name: 'identificacion_problemas',
    columns: {
      ...ids('id_identificacion_problemas'),
      descripcion: 'text',
      efecto: 'text',
      acciones_actuales: 'text',
      id_tipo_problema: 'integer',
    },
    ownId: true,
    counts: [0, 1, 2, 3, 4, 5],
    required: ['descripcion', 'efecto', 'acciones_actuales', 'id_tipo_problema'],
    values: (prng, world) => [
      sureText(prng, TEXT, () => remark(prng)),
      sureText(prng, TEXT, () => sentence(prng, prng.between(2, 15))),
      sureText(prng, TEXT, () => sentence(prng, prng.between(2, 15))),
      world.sure(prng, 'tipo_sistema_problema'),
    ],
  },
  {
    name: 'requerimiento_desarrollo',
    columns: { ...ids('id_requerimiento_desarrollo'), descripcion: 'text', id_tipo_requerimiento: 'integer' },
    ownId: true,
    counts: [0, 1, 2, 3, 4, 5],
    required: ['descripcion', 'id_tipo_requerimiento'],
    values: (prng, world) => [
      sureText(prng, TEXT, () => sentence(prng, prng.between(2, 25))),
      world.sure(prng, 'tipo_requerimiento'),
    ],
  },
];
