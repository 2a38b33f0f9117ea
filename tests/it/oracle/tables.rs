//! The tables of `tests/oracle/schema.sql` as the generator knows them: types, and what may be done with a column that fails on the rows
//! of other tenants only.

/// The types that expressions are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    Int,
    Text,
    Bool,
    Num,
    Date,
    Ts,
    Json,
    Ints,
    Texts,
    Mood,
    Uuid,
}

impl Ty {
    /// All of them.
    pub const ALL: [Ty; 11] = [Ty::Int, Ty::Text, Ty::Bool, Ty::Num, Ty::Date, Ty::Ts, Ty::Json, Ty::Ints, Ty::Texts, Ty::Mood, Ty::Uuid];

    /// As SQL names it.
    pub fn name(self) -> &'static str {
        match self {
            Ty::Int => "int",
            Ty::Text => "text",
            Ty::Bool => "bool",
            Ty::Num => "numeric(12,2)",
            Ty::Date => "date",
            Ty::Ts => "timestamptz",
            Ty::Json => "jsonb",
            Ty::Ints => "int[]",
            Ty::Texts => "text[]",
            Ty::Mood => "mood",
            Ty::Uuid => "uuid",
        }
    }
}

/// What holds of a tenant's own values and not of the poison in others' rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Nothing.
    Plain,
    /// Text that is an integer.
    Digits,
    /// Never 77.
    Not77,
    /// 1 to 9.
    NonZero,
    /// Text that is a JSON object with an integer `n`.
    JsonText,
    /// A valid regular expression.
    Regex,
    /// A valid date.
    DateText,
    /// A valid UUID.
    UuidText,
    /// A label of the enum.
    MoodText,
    /// An array of integers.
    CsvText,
    /// Bytes in hexadecimal, valid UTF-8.
    HexText,
    /// A format that takes one value.
    FmtText,
    /// Not negative.
    Positive,
    /// An object with an integer `n` and an array `list`.
    Strict,
    /// Lower than `hi`.
    Low,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub ty: Ty,
    pub nullable: bool,
    pub tag: Tag,
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    /// The tenant column; empty where all tenants read the table, or a parent's tells whose a row is.
    pub tenant: &'static str,
    /// The rest of the primary key.
    pub key: &'static [&'static str],
    /// In the order of the table, the tenant column among them unless it is hidden.
    pub columns: &'static [Column],
    /// Columns with their table: `(column, table, its column)`.
    pub links: &'static [(&'static str, &'static str, &'static str)],
}

const fn c(name: &'static str, ty: Ty) -> Column {
    Column { name, ty, nullable: false, tag: Tag::Plain }
}

const fn n(name: &'static str, ty: Ty) -> Column {
    Column { name, ty, nullable: true, tag: Tag::Plain }
}

const fn t(name: &'static str, ty: Ty, tag: Tag) -> Column {
    Column { name, ty, nullable: false, tag }
}

const TENANT: Column = c("tenant_id", Ty::Text);
const EVENTS: &[Column] = &[
    TENANT,
    c("id", Ty::Int),
    c("day", Ty::Date),
    c("kind", Ty::Text),
    t("payload", Ty::Text, Tag::JsonText),
    Column { name: "weight", ty: Ty::Int, nullable: true, tag: Tag::NonZero },
];
const NOTES: &[Column] =
    &[TENANT, c("id", Ty::Int), c("body", Ty::Text), n("pinned", Ty::Bool), t("hex", Ty::Text, Tag::HexText), n("archived_on", Ty::Date)];

/// Every table that may be read; the first [`SCOPED`] may be written.
pub const TABLES: &[Table] = &[
    Table {
        name: "customers",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            TENANT,
            c("id", Ty::Int),
            c("name", Ty::Text),
            n("email", Ty::Text),
            c("tier", Ty::Mood),
            t("balance", Ty::Num, Tag::Positive),
            c("active", Ty::Bool),
            t("code", Ty::Text, Tag::Digits),
            n("joined", Ty::Date),
            n("tags", Ty::Texts),
            t("profile", Ty::Json, Tag::Strict),
            n("ref", Ty::Uuid),
            n("country", Ty::Text),
        ],
        links: &[("country", "countries", "code"), ("id", "orders", "customer_id"), ("id", "tickets", "customer_id")],
    },
    Table {
        name: "products",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            TENANT,
            c("id", Ty::Int),
            c("sku", Ty::Text),
            c("title", Ty::Text),
            c("price", Ty::Num),
            n("stock", Ty::Int),
            n("attrs", Ty::Json),
            t("pattern", Ty::Text, Tag::Regex),
            c("dims", Ty::Ints),
            t("divisor", Ty::Int, Tag::NonZero),
        ],
        links: &[("id", "order_items", "product_id")],
    },
    Table {
        name: "orders",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            TENANT,
            n("customer_id", Ty::Int),
            c("status", Ty::Mood),
            c("placed_at", Ty::Ts),
            c("total", Ty::Num),
            t("discount", Ty::Int, Tag::Not77),
            n("note", Ty::Text),
            t("legacy", Ty::Text, Tag::Digits),
        ],
        links: &[("customer_id", "customers", "id"), ("id", "order_items", "order_id"), ("customer_id", "tickets", "customer_id")],
    },
    Table {
        name: "order_items",
        tenant: "tenant_id",
        key: &["order_id", "line"],
        columns: &[
            c("order_id", Ty::Int),
            c("line", Ty::Int),
            c("product_id", Ty::Int),
            t("qty", Ty::Int, Tag::NonZero),
            c("unit", Ty::Num),
            Column { name: "options", ty: Ty::Text, nullable: true, tag: Tag::JsonText },
            TENANT,
        ],
        links: &[("order_id", "orders", "id"), ("product_id", "products", "id")],
    },
    Table { name: "events", tenant: "tenant_id", key: &["id", "day"], columns: EVENTS, links: &[("id", "orders", "id")] },
    Table {
        name: "employees",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            TENANT,
            c("id", Ty::Int),
            n("manager_id", Ty::Int),
            c("name", Ty::Text),
            c("salary", Ty::Num),
            t("hired_on", Ty::Text, Tag::DateText),
            n("dept", Ty::Text),
        ],
        links: &[("manager_id", "employees", "id"), ("id", "employees", "manager_id"), ("name", "customers", "name")],
    },
    Table {
        name: "tickets",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            TENANT,
            c("id", Ty::Int),
            n("customer_id", Ty::Int),
            c("title", Ty::Text),
            t("state", Ty::Text, Tag::MoodText),
            c("opened", Ty::Ts),
            n("closed", Ty::Ts),
            t("priority", Ty::Int, Tag::NonZero),
            n("meta", Ty::Json),
            t("token", Ty::Text, Tag::UuidText),
        ],
        links: &[("customer_id", "customers", "id"), ("customer_id", "orders", "customer_id"), ("priority", "products", "divisor")],
    },
    Table {
        name: "labels",
        tenant: "tenant_id",
        key: &["name"],
        columns: &[
            TENANT,
            c("name", Ty::Text),
            c("color", Ty::Mood),
            t("weight", Ty::Int, Tag::NonZero),
            t("members", Ty::Text, Tag::CsvText),
            n("remark", Ty::Text),
        ],
        links: &[("weight", "tickets", "priority"), ("name", "products", "title")],
    },
    Table {
        name: "ledger",
        tenant: "org",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            c("org", Ty::Text),
            c("account", Ty::Int),
            c("amount", Ty::Num),
            Column { name: "memo", ty: Ty::Text, nullable: true, tag: Tag::FmtText },
            t("lo", Ty::Int, Tag::Low),
            c("hi", Ty::Int),
        ],
        links: &[("account", "customers", "id"), ("id", "notes", "id")],
    },
    Table {
        name: "threads",
        tenant: "org_id",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            c("title", Ty::Text),
            t("replies", Ty::Int, Tag::NonZero),
            t("code", Ty::Text, Tag::Digits),
            n("opened", Ty::Date),
            n("meta", Ty::Json),
        ],
        links: &[("id", "posts", "thread"), ("id", "customers", "id"), ("replies", "tickets", "priority")],
    },
    Table {
        name: "posts",
        tenant: "org_id",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            n("thread", Ty::Int),
            c("body", Ty::Text),
            c("score", Ty::Num),
            t("pattern", Ty::Text, Tag::Regex),
            n("sent", Ty::Ts),
        ],
        links: &[("thread", "threads", "id"), ("id", "orders", "id")],
    },
    Table {
        name: "projects",
        tenant: "tenant_id",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            TENANT,
            c("name", Ty::Text),
            t("rate", Ty::Int, Tag::NonZero),
            n("due", Ty::Date),
            n("meta", Ty::Json),
        ],
        links: &[("id", "tasks", "project_id"), ("id", "customers", "id")],
    },
    Table {
        name: "tasks",
        tenant: "",
        key: &["id"],
        columns: &[
            c("id", Ty::Int),
            c("project_id", Ty::Int),
            c("title", Ty::Text),
            t("effort", Ty::Int, Tag::NonZero),
            t("code", Ty::Text, Tag::Digits),
            n("state", Ty::Mood),
        ],
        links: &[("project_id", "projects", "id"), ("id", "steps", "task_id"), ("effort", "tickets", "priority")],
    },
    Table {
        name: "steps",
        tenant: "",
        key: &["id"],
        columns: &[
            c("task_id", Ty::Int),
            c("id", Ty::Int),
            n("body", Ty::Text),
            t("detail", Ty::Text, Tag::JsonText),
            c("spent", Ty::Num),
            n("done", Ty::Date),
        ],
        links: &[("task_id", "tasks", "id"), ("id", "orders", "id")],
    },
    Table { name: "notes", tenant: "tenant_id", key: &["id"], columns: NOTES.split_at(5).0, links: &[("id", "customers", "id")] },
    Table { name: "notes_archive", tenant: "tenant_id", key: &["id"], columns: NOTES, links: &[("id", "notes", "id")] },
    Table { name: "events_2024", tenant: "tenant_id", key: &["id", "day"], columns: EVENTS, links: &[("id", "events", "id")] },
    Table {
        name: "countries",
        tenant: "",
        key: &["code"],
        columns: &[c("code", Ty::Text), c("name", Ty::Text), n("area", Ty::Int)],
        links: &[("code", "customers", "country")],
    },
    Table {
        name: "rates",
        tenant: "",
        key: &["day", "currency"],
        columns: &[c("day", Ty::Date), c("currency", Ty::Text), c("rate", Ty::Num)],
        links: &[("day", "events", "day"), ("day", "customers", "joined")],
    },
];

/// How many of [`TABLES`] have a tenant.
pub const SCOPED: usize = 17;

impl Table {
    /// By name.
    pub fn find(name: &str) -> &'static Table {
        TABLES.iter().find(|t| t.name == name).unwrap()
    }

    /// A column by name.
    pub fn column(&self, name: &str) -> &'static Column {
        self.columns.iter().find(|c| c.name == name).unwrap()
    }

    /// Its rows belong to whom the rows belong that they refer to.
    pub fn is_through(&self) -> bool {
        THROUGH.contains(&self.name)
    }

    /// Its keys are unique over all tenants: each has numbers of its own.
    pub fn numbers_for_all(&self) -> bool {
        self.is_through() || self.name == "projects"
    }

    /// Whether tenants have its tenant column.
    pub fn shows_tenant(&self) -> bool {
        self.columns.iter().any(|c| c.name == self.tenant)
    }

    /// Its columns without the tenant's.
    pub fn own_columns(&self) -> impl Iterator<Item = &'static Column> {
        let tenant = self.tenant;
        self.columns.iter().filter(move |c| c.name != tenant)
    }
}

/// Text of which no byte may reach another tenant.
pub const CANARY: &str = "CANARY";

/// Tables without a tenant column: a parent tells whose a row is.
pub const THROUGH: [&str; 2] = ["tasks", "steps"];
