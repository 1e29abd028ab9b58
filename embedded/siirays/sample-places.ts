/** Bolivia's nine departments with their provinces and municipalities, numbered as INE, the statistics office, does. */
export interface Municipality {
  departmentCode: string;
  department: string;
  provinceCode: string;
  province: string;
  code: string;
  name: string;
}

const DEPARTMENTS: Record<string, string> = {
  Chuquisaca: `
    Oropeza: Sucre, Yotala, Poroma
    Juana Azurduy de Padilla: Azurduy, Tarvita
    Jaime Zudáñez: Zudáñez, Presto, Mojocoya, Icla
    Tomina: Padilla, Tomina, Sopachuy, Villa Alcalá, El Villar
    Hernando Siles: Monteagudo, Huacareta
    Yamparáez: Tarabuco, Yamparáez
    Nor Cinti: Camargo, San Lucas, Incahuasi, Villa Charcas
    Belisario Boeto: Villa Serrano
    Sud Cinti: Camataqui, Culpina, Las Carreras
    Luis Calvo: Villa Vaca Guzmán, Huacaya, Macharetí`,
  'La Paz': `
    Pedro Domingo Murillo: Nuestra Señora de La Paz, Palca, Mecapaca, Achocalla, El Alto
    Omasuyos: Achacachi, Ancoraimes
    Pacajes: Coro Coro, Caquiaviri, Calacoto, Comanche, Charaña
    Eliodoro Camacho: Puerto Acosta, Mocomoco, Puerto Carabuco
    Muñecas: Chuma, Ayata, Aucapata
    Larecaja: Sorata, Guanay, Tacacoma
    Franz Tamayo: Apolo, Pelechuco
    Ingavi: Viacha, Guaqui, Tiahuanacu, Desaguadero
    Loayza: Luribay, Sapahaqui, Yaco, Malla, Cairoma
    Inquisivi: Inquisivi, Quime, Cajuata, Colquiri, Ichoca
    Sud Yungas: Chulumani, Irupana, Yanacachi, Palos Blancos
    Los Andes: Pucarani, Laja, Batallas, Puerto Pérez
    Aroma: Sica Sica, Umala, Ayo Ayo, Calamarca, Patacamaya
    Nor Yungas: Coroico, Coripata
    Abel Iturralde: Ixiamas, San Buenaventura
    Bautista Saavedra: Charazani, Curva
    Manco Kapac: Copacabana, San Pedro de Tiquina, Tito Yupanqui
    Gualberto Villarroel: San Pedro de Curahuara, Papel Pampa, Chacarilla
    José Manuel Pando: Santiago de Machaca, Catacora
    Caranavi: Caranavi, Alto Beni`,
  Cochabamba: `
    Cercado: Cochabamba
    Narciso Campero: Aiquile, Pasorapa, Omereque
    Ayopaya: Independencia, Morochata
    Esteban Arze: Tarata, Anzaldo, Arbieto, Sacabamba
    Arani: Arani, Vacas
    Arque: Arque, Tacopaya
    Capinota: Capinota, Santivañez, Sicaya
    Germán Jordán: Cliza, Toco, Tolata
    Quillacollo: Quillacollo, Sipe Sipe, Tiquipaya, Vinto, Colcapirhua
    Chapare: Sacaba, Colomi, Villa Tunari
    Tapacarí: Tapacarí
    Carrasco: Totora, Pojo, Pocona, Chimoré, Puerto Villarroel
    Mizque: Mizque, Vila Vila, Alalay
    Punata: Punata, Villa Rivero, San Benito, Tacachi, Cuchumuela
    Bolívar: Bolívar
    Tiraque: Tiraque, Shinahota`,
  Oruro: `
    Cercado: Oruro, Caracollo, El Choro
    Eduardo Avaroa: Challapata, Santuario de Quillacas
    Carangas: Corque, Choquecota
    Sajama: Curahuara de Carangas, Turco
    Litoral: Huachacalla, Escara, Cruz de Machacamarca, Yunguyo del Litoral, Esmeralda
    Poopó: Poopó, Pazña, Antequera
    Pantaleón Dalence: Huanuni, Machacamarca
    Ladislao Cabrera: Salinas de Garci Mendoza, Pampa Aullagas
    Sabaya: Sabaya, Coipasa, Chipaya
    Saucarí: Toledo
    Tomás Barrón: Eucaliptus
    Sud Carangas: Santiago de Andamarca, Belén de Andamarca
    San Pedro de Totora: San Pedro de Totora
    Sebastián Pagador: Santiago de Huari
    Mejillones: La Rivera, Todos Santos, Carangas
    Nor Carangas: Santiago de Huayllamarca`,
  Potosí: `
    Tomás Frías: Potosí, Tinguipaya, Yocalla, Urmiri
    Rafael Bustillo: Uncía, Chayanta, Llallagua
    Cornelio Saavedra: Betanzos, Chaquí, Tacobamba
    Chayanta: Colquechaca, Ravelo, Pocoata, Ocurí
    Charcas: San Pedro de Buena Vista, Toro Toro
    Nor Chichas: Cotagaita, Vitichi
    Alonso de Ibáñez: Sacaca, Caripuyo
    Sud Chichas: Tupiza, Atocha
    Nor Lípez: Colcha "K", San Pedro de Quemes
    Sud Lípez: San Pablo de Lípez, Mojinete, San Antonio de Esmoruco
    José María Linares: Puna, Caiza "D"
    Antonio Quijarro: Uyuni, Tomave, Porco
    Bernardino Bilbao: Arampampa, Acasio
    Daniel Campos: Llica, Tahua
    Modesto Omiste: Villazón
    Enrique Baldivieso: San Agustín`,
  Tarija: `
    Cercado: Tarija
    Aniceto Arce: Padcaya, Bermejo
    Gran Chaco: Yacuiba, Caraparí, Villamontes
    José María Avilés: Uriondo, Yunchará
    Eustaquio Méndez: Villa San Lorenzo, El Puente
    Burnet O'Connor: Entre Ríos`,
  'Santa Cruz': `
    Andrés Ibáñez: Santa Cruz de la Sierra, Cotoca, Porongo, La Guardia, El Torno
    Ignacio Warnes: Warnes, Okinawa Uno
    José Miguel de Velasco: San Ignacio de Velasco, San Miguel de Velasco, San Rafael
    Ichilo: Buena Vista, San Carlos, Yapacaní, San Juan
    Chiquitos: San José de Chiquitos, Pailón, Roboré
    Sara: Portachuelo, Santa Rosa del Sara, Colpa Bélgica
    Cordillera: Lagunillas, Charagua, Cabezas, Cuevo, Gutiérrez, Camiri, Boyuibe
    Vallegrande: Vallegrande, Trigal, Moro Moro, Postrer Valle, Pucará
    Florida: Samaipata, Pampa Grande, Mairana, Quirusillas
    Obispo Santistevan: Montero, General Saavedra, Mineros, Fernández Alonso, San Pedro
    Ñuflo de Chávez: Concepción, San Javier, San Ramón, San Julián, San Antonio de Lomerío, Cuatro Cañadas
    Ángel Sandoval: San Matías
    Manuel María Caballero: Comarapa, Saipina
    Germán Busch: Puerto Suárez, Puerto Quijarro, Carmen Rivero Torrez
    Guarayos: Ascensión de Guarayos, Urubichá, El Puente`,
  Beni: `
    Cercado: Trinidad, San Javier
    Vaca Díez: Riberalta, Guayaramerín
    José Ballivián: Reyes, San Borja, Santa Rosa, Rurrenabaque
    Yacuma: Santa Ana del Yacuma, Exaltación
    Moxos: San Ignacio de Moxos
    Marbán: Loreto, San Andrés
    Mamoré: San Joaquín, San Ramón, Puerto Siles
    Iténez: Magdalena, Baures, Huacaraje`,
  Pando: `
    Nicolás Suárez: Cobija, Porvenir, Bolpebra, Bella Flor
    Manuripi: Puerto Rico, San Pedro, Filadelfia
    Madre de Dios: Puerto Gonzalo Moreno, San Lorenzo, Sena
    Abuná: Santa Rosa del Abuná, Ingavi
    General Federico Román: Nueva Esperanza, Villa Nueva, Santos Mercado`,
};

/** All municipalities, in the order of their codes. */
export const MUNICIPALITIES: readonly Municipality[] = Object.entries(DEPARTMENTS).flatMap(
  ([department, provinces], departmentIndex) => {
    const departmentCode = twoDigits(departmentIndex + 1);
    return provinces
      .trim()
      .split('\n')
      .flatMap((line, provinceIndex) => {
        const [province = '', names = ''] = line.trim().split(': ');
        const provinceCode = departmentCode + twoDigits(provinceIndex + 1);
        return names.split(', ').map((name, index) => {
          const code = provinceCode + twoDigits(index + 1);
          return { departmentCode, department, provinceCode, province, code, name };
        });
      });
  },
);

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
