//! Countries as the orders spell them, their dialling codes, cities and regions.

type City = (&'static str, &'static str);

/// Where a customer may live.
#[derive(Debug)]
pub(super) struct Place {
    /// The country as the orders spell it; in the CRM too, unless it says that nothing is known.
    pub(super) name: String,
    pub(super) dial: Option<&'static str>,
    /// City and region.
    pub(super) cities: &'static [City],
}

impl Place {
    /// A country by the name that orders give it; one that is not in the list has no known city.
    pub(super) fn named(name: &str) -> Self {
        let known = COUNTRIES.iter().find(|(known, ..)| *known == name);
        Self { name: name.to_owned(), dial: known.and_then(|(_, dial, ..)| *dial), cities: known.map_or(&[], |(.., cities)| cities) }
    }

    /// The country to write in the CRM: empty where the orders do not name one.
    pub(super) fn crm_name(&self) -> &str {
        match self.name.as_str() {
            "Unspecified" | "European Community" => "",
            name => name,
        }
    }
}

pub(super) const HOME: &str = "United Kingdom";

/// How many of a thousand made-up customers live where: near the shares of the real sample.
pub(super) const SHARES: &[(u32, &str)] = &[
    (904, HOME),
    (22, "Germany"),
    (20, "France"),
    (7, "Spain"),
    (6, "Belgium"),
    (5, "Switzerland"),
    (5, "Portugal"),
    (4, "Italy"),
    (3, "Netherlands"),
    (3, "Finland"),
    (3, "Austria"),
    (3, "EIRE"),
    (3, "Norway"),
    (3, "Australia"),
    (3, "Sweden"),
    (2, "Denmark"),
    (2, "USA"),
    (2, "Unspecified"),
];

const COUNTRIES: &[(&str, Option<&str>, &[City])] = &[
    (HOME, Some("44"), UNITED_KINGDOM),
    (
        "Germany",
        Some("49"),
        &[
            ("Berlin", "Berlin"),
            ("Hamburg", "Hamburg"),
            ("München", "Bayern"),
            ("Nürnberg", "Bayern"),
            ("Köln", "Nordrhein-Westfalen"),
            ("Düsseldorf", "Nordrhein-Westfalen"),
            ("Frankfurt am Main", "Hessen"),
            ("Leipzig", "Sachsen"),
            ("Stuttgart", "Baden-Württemberg"),
        ],
    ),
    (
        "France",
        Some("33"),
        &[
            ("Paris", "Île-de-France"),
            ("Lyon", "Rhône-Alpes"),
            ("Marseille", "Provence-Alpes-Côte d'Azur"),
            ("Bordeaux", "Aquitaine"),
            ("Lille", "Nord-Pas-de-Calais"),
            ("Nantes", "Pays de la Loire"),
            ("Strasbourg", "Alsace"),
        ],
    ),
    (
        "Spain",
        Some("34"),
        &[
            ("Madrid", "Comunidad de Madrid"),
            ("Barcelona", "Cataluña"),
            ("Valencia", "Comunitat Valenciana"),
            ("Sevilla", "Andalucía"),
            ("Palma, Mallorca", "Illes Balears"),
        ],
    ),
    (
        "Belgium",
        Some("32"),
        &[("Bruxelles", "Bruxelles-Capitale"), ("Antwerpen", "Vlaanderen"), ("Gent", "Vlaanderen"), ("Liège", "Wallonie")],
    ),
    ("Switzerland", Some("41"), &[("Zürich", "Zürich"), ("Genève", "Genève"), ("Basel", "Basel-Stadt"), ("Bern", "Bern")]),
    ("Portugal", Some("351"), &[("Lisboa", "Lisboa"), ("Porto", "Norte"), ("Faro", "Algarve")]),
    ("Italy", Some("39"), &[("Milano", "Lombardia"), ("Roma", "Lazio"), ("Torino", "Piemonte"), ("Napoli", "Campania")]),
    (
        "Netherlands",
        Some("31"),
        &[("Amsterdam", "Noord-Holland"), ("Rotterdam", "Zuid-Holland"), ("Utrecht", "Utrecht"), ("'s-Hertogenbosch", "Noord-Brabant")],
    ),
    ("EIRE", Some("353"), &[("Dublin", "Leinster"), ("Cork", "Munster"), ("Galway", "Connacht")]),
    ("Australia", Some("61"), &[("Sydney", "New South Wales"), ("Melbourne", "Victoria"), ("Brisbane", "Queensland")]),
    ("USA", Some("1"), &[("New York", "New York"), ("Washington, D.C.", "District of Columbia"), ("Portland", "Oregon")]),
    ("Austria", Some("43"), &[("Wien", "Wien"), ("Graz", "Steiermark")]),
    ("Finland", Some("358"), &[("Helsinki", "Uusimaa"), ("Turku", "Varsinais-Suomi")]),
    ("Norway", Some("47"), &[("Oslo", "Oslo"), ("Bergen", "Hordaland")]),
    ("Sweden", Some("46"), &[("Stockholm", "Stockholm"), ("Göteborg", "Västra Götaland")]),
    ("Denmark", Some("45"), &[("København", "Hovedstaden"), ("Aarhus", "Midtjylland")]),
    ("Channel Islands", Some("44"), &[("St Helier", "Jersey"), ("St Peter Port", "Guernsey")]),
    ("Japan", Some("81"), &[("Tokyo", "Kanto"), ("Osaka", "Kansai")]),
    ("Cyprus", Some("357"), &[("Nicosia", "Nicosia"), ("Limassol", "Limassol")]),
    ("Poland", Some("48"), &[("Warszawa", "Mazowieckie"), ("Kraków", "Małopolskie")]),
    ("Canada", Some("1"), &[("Toronto", "Ontario"), ("Vancouver", "British Columbia")]),
    ("Greece", Some("30"), &[("Athina", "Attiki")]),
    ("Israel", Some("972"), &[("Tel Aviv", "Tel Aviv")]),
    ("Malta", Some("356"), &[("Valletta", "South Eastern")]),
    ("United Arab Emirates", Some("971"), &[("Dubai", "Dubai")]),
    ("Bahrain", Some("973"), &[("Manama", "Capital")]),
    ("Saudi Arabia", Some("966"), &[("Riyadh", "Riyadh")]),
    ("Iceland", Some("354"), &[("Reykjavík", "Höfuðborgarsvæðið")]),
    ("RSA", Some("27"), &[("Cape Town", "Western Cape")]),
    ("Lithuania", Some("370"), &[("Vilnius", "Vilniaus")]),
    ("Lebanon", Some("961"), &[("Beirut", "Beirut")]),
    ("Singapore", Some("65"), &[("Singapore", "Singapore")]),
    ("Czech Republic", Some("420"), &[("Praha", "Praha")]),
    ("Brazil", Some("55"), &[("São Paulo", "São Paulo")]),
    ("Hong Kong", Some("852"), &[("Hong Kong", "Hong Kong")]),
];

const UNITED_KINGDOM: &[City] = &[
    ("London", "Greater London"),
    ("London", "Greater London"),
    ("London", "Greater London"),
    ("Birmingham", "West Midlands"),
    ("Coventry", "West Midlands"),
    ("Manchester", "North West"),
    ("Liverpool", "North West"),
    ("Leeds", "Yorkshire and the Humber"),
    ("Sheffield", "Yorkshire and the Humber"),
    ("York", "Yorkshire and the Humber"),
    ("Newcastle upon Tyne", "North East"),
    ("Bristol", "South West"),
    ("Exeter", "South West"),
    ("Brighton", "South East"),
    ("Southampton", "South East"),
    ("Newport, Isle of Wight", "South East"),
    ("Cambridge", "East of England"),
    ("King's Lynn", "East of England"),
    ("Nottingham", "East Midlands"),
    ("Ashby \"de la Zouch\"", "East Midlands"),
    ("Edinburgh", "Scotland"),
    ("Glasgow", "Scotland"),
    ("Aberdeen", "Scotland"),
    ("Cardiff", "Wales"),
    ("Swansea", "Wales"),
    ("Belfast", "Northern Ireland"),
];
