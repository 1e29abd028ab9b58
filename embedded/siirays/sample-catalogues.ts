/** The catalogues of SIIRAyS: small lists as they are, and the large ones made up. */
import { MUNICIPALITIES } from './sample-places.ts';
import { type Catalogue, NAMELESS_LOCALITY } from './sample-table.ts';
import { cut, date, lastName, phone, remark, resolution, sentence, sureText, textOr } from './sample-values.ts';

/** A catalogue of an id and one name. */
function list(name: string, columns: [id: string, text: string, length: number], names: (string | null)[]): Catalogue {
  const [id, text, length] = columns;
  return {
    name,
    columns: { [id]: 'integer', [text]: `varchar(${length})` },
    ownId: true,
    size: () => names.length,
    dispensable: names.includes(null),
    values: (prng, _world, row) => {
      const known = names[row - 1];
      return [known === undefined ? cut(sentence(prng, 2), length) : known];
    },
  };
}

/** A catalogue of an id, a name and a description, both needed by the documents. */
function describedList(name: string, columns: Record<string, string>, rows: [string, string][]): Catalogue {
  return {
    name,
    columns,
    ownId: true,
    size: () => rows.length,
    dispensable: false,
    values: (prng, _world, row) => rows[row - 1] ?? [cut(sentence(prng, 2), 80), cut(sentence(prng, 8), 200)],
  };
}

const localidad: Catalogue = {
  name: 'localidad',
  columns: {
    id_localidad: 'integer',
    codigo_ine: 'varchar(20)',
    cod_departamento: 'varchar(2)',
    departamento: 'varchar(60)',
    cod_provincia: 'varchar(4)',
    provincia: 'varchar(80)',
    cod_municipio: 'varchar(6)',
    municipio: 'varchar(80)',
    cod_comunidad: 'varchar(20)',
    comunidad: 'varchar(120)',
    latitud: 'varchar(20)',
    longitud: 'varchar(20)',
    localidad: 'varchar(120)',
  },
  ownId: true,
  size: (epsas) => Math.max(40, Math.round(epsas * 0.4)),
  dispensable: false,
  values(prng, _world, id) {
    const place = MUNICIPALITIES[(id * 7) % MUNICIPALITIES.length]!;
    const community = String(prng.between(1, 999)).padStart(3, '0');
    const name = prng.chance(0.3) ? place.name : `${prng.pick(KINDS_OF_PLACE)} ${lastName(prng)}`;
    return [
      prng.chance(0.05) ? null : `${place.code}${community}`,
      place.departmentCode,
      place.department,
      place.provinceCode,
      place.province,
      place.code,
      place.name,
      textOr(prng, 20, () => place.code + community),
      textOr(prng, 120, () => name),
      textOr(prng, 20, () => `-${(9.7 + prng.next() * 13).toFixed(6)}`),
      textOr(prng, 20, () => `-${(57.5 + prng.next() * 12).toFixed(6)}`),
      id % NAMELESS_LOCALITY === 0 ? null : sureText(prng, 120, () => name),
    ];
  },
};

const KINDS_OF_PLACE = ['Villa', 'Puerto', 'Ayllu', 'Comunidad', 'Colonia', 'Cantón', 'Estancia', 'San Juan de'];

const rar: Catalogue = {
  name: 'rar',
  columns: {
    id_rar: 'integer',
    numero_resolucion: 'varchar(60)',
    fecha_resolucion: 'date',
    descripcion_resolucion: 'text',
  },
  ownId: true,
  size: (epsas) => Math.max(20, Math.round(epsas * 0.6)),
  dispensable: true,
  values: (prng) => [
    textOr(prng, 60, () => resolution(prng)),
    prng.chance(0.1) ? null : date(prng),
    textOr(prng, 100_000, () => remark(prng)),
  ],
};

const entidad: Catalogue = {
  name: 'entidad',
  columns: {
    id_entidad: 'integer',
    nombre_entidad: 'varchar(200)',
    sigla_entidad: 'varchar(40)',
    direccion: 'varchar(200)',
    telefonos: 'varchar(80)',
    fax: 'varchar(80)',
    web: 'varchar(120)',
    correo_electronico: 'varchar(120)',
  },
  ownId: true,
  size: (epsas) => Math.max(15, Math.round(epsas * 0.2)),
  dispensable: true,
  values(prng) {
    const place = prng.pick(MUNICIPALITIES);
    return [
      textOr(prng, 200, () => `Gobierno Autónomo Municipal de ${place.name}`),
      textOr(prng, 40, () => `GAM-${place.code}`),
      textOr(prng, 200, () => `Plaza ${lastName(prng)} s/n`),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 80, () => phone(prng)),
      textOr(prng, 120, () => `http://gam${place.code}.gob.bo`),
      textOr(prng, 120, () => `despacho${place.code}@gob.bo`),
    ];
  },
};

/** All catalogues, in the order of schema.sql. */
export const CATALOGUES: readonly Catalogue[] = [
  localidad,
  list(
    'tipo_contacto',
    ['id_tipo_contacto', 'tipo_contacto', 60],
    ['Representante legal', 'Gerente general', 'Presidente', 'Técnico', ' ', null],
  ),
  rar,
  entidad,
  describedList(
    'tipo_acreditacion',
    {
      id_tipo_acreditacion: 'integer',
      tipo_documento_acreditacion: 'varchar(80)',
      descripcion_acreditacion: 'varchar(200)',
    },
    [
      ['Licencia', 'Licencia de prestación de servicios'],
      ['Registro', 'Registro de operador'],
      ['Personería', 'Personería jurídica'],
      ['Acta', 'Acta de fundación "original"'],
      ['Estatuto', ''],
      ['', 'Documento sin tipo'],
      ['Certificación', 'Certificación de usos y costumbres'],
      ['Convenio', "Convenio 'marco' \\ interinstitucional"],
    ],
  ),
  list(
    'tipo_fuente',
    ['id_tipo_fuente', 'descripcion_tipo_fuente', 120],
    ['Vertiente', 'Pozo perforado', 'Pozo excavado', 'Río', 'Lago', 'Presa', 'Galería filtrante', '', null],
  ),
  list(
    'estado_fuente',
    ['id_estado_fuente', 'estado_fuente', 40],
    ['Bueno', 'Regular', 'Malo', 'Fuera de servicio', null],
  ),
  describedList(
    'fuente_financiamiento',
    {
      id_fuente_financiamiento: 'integer',
      fuente_financiamiento: 'varchar(80)',
      descripcion_fuente_financiamien: 'varchar(200)',
    },
    [
      ['FPS', 'Fondo Nacional de Inversión Productiva y Social'],
      ['FNDR', 'Fondo Nacional de Desarrollo Regional'],
      ['BID', 'Banco Interamericano de Desarrollo'],
      ['CAF', 'Banco de Desarrollo de América Latina'],
      ['KfW', 'Kreditanstalt für Wiederaufbau'],
      ['JICA', 'Agencia de Cooperación Internacional del Japón 国際協力機構'],
      ['AECID', 'Agencia Española de Cooperación'],
      ['Municipio', 'Recursos propios del municipio'],
      ['Comunidad', 'Aporte de la comunidad\ten trabajo'],
      ['ONG', ' '],
      ['Otros', ''],
      ['UE', 'Unión Europea'],
    ],
  ),
  list(
    'tipo_sistema_ap',
    ['id_tipo_sistema_ap', 'descripcion_tipo_sistema_ap', 120],
    ['Gravedad', 'Bombeo', 'Mixto', 'Cisterna', '', null],
  ),
  list(
    'tipo_tratamiento_ar',
    ['id_tipo_tratamiento_ar', 'descripcion_tratamiento', 120],
    [
      'Laguna',
      'Tanque Imhoff',
      'Tanque séptico',
      'Reactor UASB',
      'Filtro percolador',
      'Humedal',
      'Otro',
      'Ninguno',
      ' ',
    ],
  ),
  list('sector', ['id_sector', 'sector', 80], ['Aducción', 'Impulsión', 'Distribución', 'Colector', 'Emisario']),
  list(
    'material_tuberia',
    ['id_material_tuberia', 'material_tuberia', 80],
    ['PVC', 'FG', 'HDPE', 'Hierro dúctil', 'Asbesto cemento', 'Cemento', 'Ø 2" FºGº', ''],
  ),
  list(
    'opcion_tecnica',
    ['id_opcion_tecnica', 'opcion_tecnica', 120],
    ['Convencional', 'Condominial', 'Letrina', 'Baño ecológico 🚽', 'Sin servicio', null],
  ),
  list(
    'cuerpo_receptor',
    ['id_cuerpo_receptor', 'cuerpo_receptor', 80],
    ['Río', 'Quebrada', 'Lago', 'Laguna', 'Suelo', 'Riego', 'Otro'],
  ),
  list(
    'tipo_funcionario',
    ['id_tipo_funcionario', 'tipo_funcionario', 80],
    ['Gerente', 'Contador', 'Operador', 'Plomero', 'Lecturador', 'Secretaria', 'Cajero', 'Voluntario', ''],
  ),
  list(
    'tipo_ingreso',
    ['id_tipo_ingreso', 'concepto', 120],
    [
      'Tarifa',
      'Conexiones',
      'Multas',
      'Aportes',
      'Donaciones',
      'Intereses',
      'Alquileres',
      'Venta de materiales',
      'Otros',
      '',
    ],
  ),
  list(
    'periodo_pago',
    ['id_periodo_pago', 'periodo_pago', 40],
    ['Mensual', 'Bimestral', 'Trimestral', 'Semestral', 'Anual', 'Eventual'],
  ),
  list(
    'tipo_sistema_problema',
    ['id_tipo_problema', 'descripcion_tipo_problema', 120],
    ['Fuente', 'Captación', 'Conducción', 'Tratamiento', 'Distribución', 'Alcantarillado', 'Gestión'],
  ),
  list(
    'tipo_requerimiento',
    ['id_tipo_requerimiento', 'descripcion_tipo_requerimiento', 120],
    ['Capacitación', 'Equipamiento', 'Ampliación', 'Mejoramiento', 'Estudio', 'Financiamiento', 'Legal', ' '],
  ),
];
