//! Names, jobs and other words that people are made of.

pub(super) const FEMALE: &[&str] = &[
    "Sarah",
    "Emma",
    "Charlotte",
    "Olivia",
    "Amelia",
    "Zoë",
    "Claire",
    "Margaret",
    "Susan",
    "Linda",
    "Rachel",
    "Hannah",
    "Fatima",
    "Priya",
    "Aisha",
    "Megan",
    "Siân",
    "Niamh",
    "Helen",
    "Karen",
    "Julie",
    "Nicola",
    "Chloé",
    "Anna",
    "Maria",
    "Ingrid",
    "Sofia",
    "Elena",
    "Grace",
    "Ruth",
];

pub(super) const MALE: &[&str] = &[
    "James", "David", "John", "Michael", "Robert", "Thomas", "William", "Daniel", "Andrew", "Mark", "Paul", "Stephen", "Mohammed", "Arjun",
    "Callum", "Rhys", "Connor", "Oliver", "Harry", "George", "Simon", "Peter", "Alan", "Keith", "Jürgen", "Luca", "Miguel", "Pierre",
    "Lars", "Samuel",
];

pub(super) const FAMILY: &[&str] = &[
    "Smith",
    "Jones",
    "Taylor",
    "Brown",
    "Williams",
    "Wilson",
    "Johnson",
    "Davies",
    "Patel",
    "Wright",
    "Walker",
    "White",
    "Edwards",
    "Hughes",
    "Green",
    "Hall",
    "Lewis",
    "Harris",
    "Clarke",
    "Jackson",
    "Wood",
    "Turner",
    "Martin",
    "Cooper",
    "Hill",
    "Ward",
    "Morris",
    "Moore",
    "Clark",
    "Lee",
    "King",
    "Baker",
    "Harrison",
    "Morgan",
    "Allen",
    "James",
    "Scott",
    "Phillips",
    "Watson",
    "Davis",
    "Parker",
    "Khan",
    "Begum",
    "O'Neill",
    "D'Arcy",
    "MacDonald",
    "Campbell",
    "Stewart",
    "Evans",
    "Roberts",
    "Müller",
    "Schmidt",
    "Dubois",
    "Lefèvre",
    "García",
    "Rossi",
    "Jansen",
    "Nilsson",
    "Novák",
    "Costa",
];

pub(super) const JOBS: &[&str] = &[
    "Teacher",
    "Nurse",
    "Accountant",
    "Shop manager",
    "Software engineer",
    "Administrator",
    "Retired",
    "Student",
    "Buyer, Home & Gifts",
    "Electrician",
    "Solicitor",
    "Chef",
    "Interior designer",
    "Director, Operations",
    "Sales assistant",
    "Social worker",
    "Head of \"Special Projects\"",
    "Receptionist",
    "Civil servant",
    "Self-employed",
    "Event planner",
    "Florist",
    "Driver",
    "Owner, \"The Gift Barn\"",
    "Pharmacist",
    "Marketing manager",
];

/// A job title with a line break in it, as people paste them into forms.
pub(super) const JOB_ON_TWO_LINES: &str = "Shop manager\n(part time)";

pub(super) const INCOMES: &[(u32, &str)] = &[(20, "low"), (30, "lower-middle"), (24, "upper-middle"), (11, "high"), (15, "")];

pub(super) const EDUCATIONS: &[(u32, &str)] =
    &[(24, "secondary"), (20, "vocational"), (26, "bachelor"), (13, "master"), (3, "doctorate"), (14, "")];

pub(super) const DOMAINS: &[(u32, &str)] =
    &[(40, "example.com"), (18, "example.org"), (14, "example.net"), (12, "mail.example"), (8, "post.example"), (8, "office.example")];

/// Addresses that many people give who do not want to give one.
pub(super) const JUNK_ADDRESSES: &[&str] = &["test@test.com", "none@none.com", "noreply@example.com"];

/// What the shop sells, as web events name it.
pub(super) const CATEGORIES: &[&str] = &["home_decor", "kitchen", "garden", "christmas", "stationery", "toys", "bags", "lighting"];
