//! The shop's operations, and the steps of each.

use crate::service::Service::{self, *};

/// An operation of a service.
pub(crate) struct Operation {
    pub service: Service,
    pub via: Via,
    /// The name: `METHOD /route`, `package.Service/Method`, a topic, or the name of a job.
    pub name: &'static str,
    /// The median of its own duration, without its steps, in microseconds.
    pub micros: f64,
    /// The number of runs out of ten thousand that fail by themselves.
    pub failures: u16,
    pub steps: &'static [Step],
}

/// How an operation is invoked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Http,
    Rpc,
    Queue,
    /// By a timer.
    Timer,
}

/// A call to a dependency outside of the shop's services.
pub(crate) struct Dependency {
    pub peer: Peer,
    /// `OPERATION namespace.collection`, or an HTTP method.
    pub name: &'static str,
    /// The statement or the URL.
    pub text: &'static str,
    pub micros: f64,
    pub failures: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Postgres,
    Redis,
    Http,
}

/// A part of an operation within its process that has a span of its own.
pub(crate) struct Work {
    pub name: &'static str,
    pub micros: f64,
    pub steps: &'static [Step],
}

/// One step of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub action: Action,
    /// The minimum and the maximum number of repetitions.
    pub times: (u8, u8),
    /// The number of runs out of ten thousand that include the step.
    pub chance: u16,
    /// Whether the step, and each of its repetitions, begins together with the previous step
    /// instead of after it.
    pub parallel: bool,
    /// Whether its failure fails the operation.
    pub needed: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Action {
    Call(&'static Operation),
    Publish(&'static Operation),
    Query(&'static Dependency),
    Work(&'static Work),
}

const fn step(action: Action) -> Step {
    Step { action, times: (1, 1), chance: 10_000, parallel: false, needed: true }
}

const fn call(operation: &'static Operation) -> Step {
    step(Action::Call(operation))
}

const fn publish(operation: &'static Operation) -> Step {
    step(Action::Publish(operation))
}

const fn query(dependency: &'static Dependency) -> Step {
    step(Action::Query(dependency))
}

const fn work(work: &'static Work) -> Step {
    step(Action::Work(work))
}

impl Step {
    const fn times(self, from: u8, to: u8) -> Self {
        Self { times: (from, to), ..self }
    }

    const fn chance(self, chance: u16) -> Self {
        Self { chance, ..self }
    }

    const fn parallel(self) -> Self {
        Self { parallel: true, ..self }
    }

    const fn optional(self) -> Self {
        Self { needed: false, ..self }
    }
}

/// The operations that begin a trace, with their weights. A few make up most of the traffic.
#[rustfmt::skip] // A table.
pub(crate) static ROOTS: &[(&Operation, u64)] = &[
    (&HEALTH, 240),
    (&PRODUCT_PAGE, 220),
    (&ASSET, 160),
    (&HOME_PAGE, 120),
    (&SEARCH_PAGE, 90),
    (&CART_PAGE, 60),
    (&ADD_TO_CART, 45),
    (&CURRENCIES, 25),
    (&CHECKOUT, 20),
    (&NEWSLETTER, 6),
    (&RECONCILE, 4),
    (&REINDEX, 3),
];

// The frontend.

const fn page(name: &'static str, micros: f64, steps: &'static [Step]) -> Operation {
    Operation { service: Frontend, via: Via::Http, name, micros, failures: 15, steps }
}

static HEALTH: Operation = page("GET /healthz", 90.0, &[]);
static ASSET: Operation = page("GET /static/{asset}", 400.0, &[query(&ASSET_CACHE).chance(6000)]);
static HOME_PAGE: Operation = page(
    "GET /",
    2_500.0,
    &[
        call(&LIST_PRODUCTS),
        call(&GET_CART).parallel().optional(),
        call(&RECOMMEND).parallel().optional(),
        call(&GET_ADS).parallel().optional(),
        call(&CONVERT).times(1, 3).parallel(),
        work(&RENDER),
    ],
);
static PRODUCT_PAGE: Operation = page(
    "GET /product/{id}",
    1_800.0,
    &[
        call(&GET_PRODUCT),
        call(&CONVERT).parallel(),
        call(&GET_CART).parallel().optional(),
        call(&RECOMMEND).chance(7000).optional(),
        call(&GET_ADS).parallel().optional(),
        work(&RENDER),
    ],
);
static SEARCH_PAGE: Operation = page(
    "GET /search",
    2_000.0,
    &[call(&FIND), call(&CONVERT).times(0, 3).parallel(), work(&RENDER)],
);
static CART_PAGE: Operation = page(
    "GET /cart",
    1_500.0,
    &[
        call(&GET_CART),
        call(&GET_PRODUCT).times(1, 5),
        call(&CONVERT).times(1, 5).parallel(),
        work(&RENDER),
    ],
);
static ADD_TO_CART: Operation = page("POST /cart", 1_200.0, &[call(&GET_PRODUCT), call(&ADD_ITEM)]);
static CURRENCIES: Operation = page("GET /api/currencies", 500.0, &[call(&SUPPORTED)]);
static CHECKOUT: Operation =
    page("POST /cart/checkout", 3_000.0, &[call(&PLACE_ORDER), work(&RENDER)]);
static NEWSLETTER: Operation = page("POST /newsletter", 900.0, &[call(&SEND_EMAIL)]);

static RENDER: Work = Work { name: "render", micros: 1_400.0, steps: &[] };
static ASSET_CACHE: Dependency = Dependency {
    peer: Peer::Redis,
    name: "GET assets.cache",
    text: "GET asset:{name}",
    micros: 250.0,
    failures: 1,
};

// The services that the pages call.

const fn rpc(
    service: Service,
    name: &'static str,
    micros: f64,
    steps: &'static [Step],
) -> Operation {
    Operation { service, via: Via::Rpc, name, micros, failures: 100, steps }
}

const fn redis(name: &'static str, text: &'static str) -> Dependency {
    Dependency { peer: Peer::Redis, name, text, micros: 300.0, failures: 6 }
}

const fn postgres(name: &'static str, text: &'static str, micros: f64) -> Dependency {
    Dependency { peer: Peer::Postgres, name, text, micros, failures: 15 }
}

static GET_CART: Operation = rpc(Cart, "shop.Cart/GetCart", 300.0, &[query(&CART_READ)]);
static ADD_ITEM: Operation =
    rpc(Cart, "shop.Cart/AddItem", 400.0, &[query(&CART_READ), query(&CART_WRITE)]);
static EMPTY_CART: Operation = rpc(Cart, "shop.Cart/EmptyCart", 300.0, &[query(&CART_DROP)]);
static CART_READ: Dependency = redis("HGETALL cart.items", "HGETALL cart:{session}");
static CART_WRITE: Dependency = redis("HSET cart.items", "HSET cart:{session} ? ?");
static CART_DROP: Dependency = redis("DEL cart.items", "DEL cart:{session}");

static SUPPORTED: Operation = rpc(Currency, "shop.Currency/GetSupportedCurrencies", 120.0, &[]);
static CONVERT: Operation = rpc(Currency, "shop.Currency/Convert", 90.0, &[]);

static GET_PRODUCT: Operation = rpc(
    Catalogue,
    "shop.Catalogue/GetProduct",
    250.0,
    &[query(&PRODUCT_CACHE).optional(), query(&PRODUCT_ROW).chance(3500)],
);
static LIST_PRODUCTS: Operation = rpc(
    Catalogue,
    "shop.Catalogue/ListProducts",
    700.0,
    &[
        query(&PRODUCT_LIST),
        query(&PRICE_LIST).parallel(),
        query(&PRODUCT_CACHE).times(0, 4).optional(),
    ],
);
static PRODUCT_CACHE: Dependency = redis("GET catalogue.products", "GET product:{id}");
static PRODUCT_ROW: Dependency = postgres(
    "SELECT catalogue.products",
    "SELECT id, name, description, picture, price_units, price_nanos, categories FROM products WHERE id = $1",
    900.0,
);
static PRODUCT_LIST: Dependency = postgres(
    "SELECT catalogue.products",
    "SELECT id, name, picture, price_units, price_nanos FROM products WHERE visible ORDER BY rank LIMIT $1 OFFSET $2",
    2_600.0,
);
static PRICE_LIST: Dependency = postgres(
    "SELECT catalogue.prices",
    "SELECT product_id, amount FROM prices WHERE product_id = ANY($1)",
    1_300.0,
);

static FIND: Operation =
    rpc(Search, "shop.Search/Find", 900.0, &[work(&PARSE), work(&SHARD).times(2, 6), work(&RANK)]);
static PARSE: Work = Work { name: "parse query", micros: 120.0, steps: &[] };
static SHARD: Work =
    Work { name: "search shard", micros: 1_100.0, steps: &[query(&SHARD_READ).times(0, 2)] };
static SHARD_READ: Dependency = postgres(
    "SELECT search.postings",
    "SELECT term, docs FROM postings WHERE term = ANY($1)",
    1_500.0,
);
static RANK: Work = Work { name: "rank", micros: 700.0, steps: &[call(&GET_PRODUCT).times(0, 4)] };

static RECOMMEND: Operation = rpc(
    Recommendation,
    "shop.Recommendation/ListRecommendations",
    2_200.0,
    &[query(&NEIGHBOURS), call(&GET_PRODUCT).times(1, 4).optional()],
);
static NEIGHBOURS: Dependency =
    redis("ZRANGE recommendation.neighbours", "ZRANGE neighbours:{id} 0 20");
static GET_ADS: Operation = rpc(Ad, "shop.Ad/GetAds", 500.0, &[query(&AD_READ).chance(8000)]);
static AD_READ: Dependency =
    redis("SRANDMEMBER ad.campaigns", "SRANDMEMBER campaigns:{category} 3");

// The processing of an order.

static PLACE_ORDER: Operation = rpc(
    Checkout,
    "shop.Checkout/PlaceOrder",
    2_000.0,
    &[
        work(&PREPARE),
        call(&CHARGE),
        call(&SHIP),
        call(&EMPTY_CART).optional(),
        call(&SEND_EMAIL).parallel().optional(),
        publish(&BOOK).optional(),
    ],
);
static PREPARE: Work = Work {
    name: "prepare order",
    micros: 400.0,
    steps: &[call(&GET_CART), work(&PRICE_ITEM).times(1, 6), call(&QUOTE)],
};
static PRICE_ITEM: Work =
    Work { name: "price item", micros: 80.0, steps: &[call(&GET_PRODUCT), call(&CONVERT)] };

static CHARGE: Operation = Operation {
    failures: 150,
    ..rpc(
        Payment,
        "shop.Payment/Charge",
        1_500.0,
        &[work(&VERIFY), query(&GATEWAY), query(&PAYMENT_ROW)],
    )
};
static VERIFY: Work =
    Work { name: "verify card", micros: 300.0, steps: &[query(&RISK).chance(5000)] };
static RISK: Dependency = postgres(
    "SELECT payment.risk",
    "SELECT score, reasons FROM risk WHERE card_hash = $1",
    1_000.0,
);
static GATEWAY: Dependency = Dependency {
    peer: Peer::Http,
    name: "POST",
    text: "https://gateway.example.com/v3/charges",
    micros: 90_000.0,
    failures: 60,
};
static PAYMENT_ROW: Dependency = postgres(
    "INSERT payment.transactions",
    "INSERT INTO transactions (id, amount, currency, card_hash, state) VALUES ($1, $2, $3, $4, $5)",
    1_800.0,
);

static QUOTE: Operation = rpc(Shipping, "shop.Shipping/GetQuote", 350.0, &[query(&RATES)]);
static RATES: Dependency = postgres(
    "SELECT shipping.rates",
    "SELECT zone, weight, price FROM rates WHERE country = $1",
    1_100.0,
);
static SHIP: Operation = rpc(
    Shipping,
    "shop.Shipping/ShipOrder",
    600.0,
    &[query(&CARRIER), query(&SHIPMENT_ROW), call(&CONVERT).times(0, 2)],
);
static CARRIER: Dependency = Dependency {
    peer: Peer::Http,
    name: "PUT",
    text: "https://carrier.example.net/shipments",
    micros: 45_000.0,
    failures: 40,
};
static SHIPMENT_ROW: Dependency = postgres(
    "INSERT shipping.shipments",
    "INSERT INTO shipments (id, order_id, address, parcels) VALUES ($1, $2, $3, $4)",
    1_500.0,
);

static SEND_EMAIL: Operation = Operation {
    service: Email,
    via: Via::Http,
    name: "POST /send",
    micros: 1_500.0,
    failures: 20,
    steps: &[work(&TEMPLATE), query(&RELAY)],
};
static TEMPLATE: Work = Work { name: "render template", micros: 2_500.0, steps: &[] };
static RELAY: Dependency = Dependency {
    peer: Peer::Http,
    name: "POST",
    text: "https://relay.example.org/messages",
    micros: 30_000.0,
    failures: 50,
};

static BOOK: Operation = Operation {
    service: Accounting,
    via: Via::Queue,
    name: "orders",
    micros: 1_200.0,
    failures: 15,
    steps: &[query(&LEDGER_LOCK), query(&LEDGER_ROW).times(1, 8), query(&LEDGER_TOTAL)],
};
static LEDGER_LOCK: Dependency = postgres(
    "SELECT accounting.accounts",
    "SELECT id FROM accounts WHERE id = $1 FOR UPDATE",
    800.0,
);
static LEDGER_ROW: Dependency = postgres(
    "INSERT accounting.entries",
    "INSERT INTO entries (account, order_id, product_id, amount, currency) VALUES ($1, $2, $3, $4, $5)",
    900.0,
);
static LEDGER_TOTAL: Dependency = postgres(
    "UPDATE accounting.accounts",
    "UPDATE accounts SET balance = balance + $2 WHERE id = $1",
    1_000.0,
);

// Jobs that timers start.

static RECONCILE: Operation = Operation {
    service: Accounting,
    via: Via::Timer,
    name: "reconcile accounts",
    micros: 5_000.0,
    failures: 30,
    steps: &[
        query(&LEDGER_SUM),
        query(&LEDGER_LOCK).times(4, 20),
        query(&LEDGER_TOTAL).times(1, 10).optional(),
    ],
};
static LEDGER_SUM: Dependency = postgres(
    "SELECT accounting.entries",
    "SELECT account, SUM(amount) FROM entries WHERE id > $1 GROUP BY account",
    60_000.0,
);

static REINDEX: Operation = Operation {
    service: Search,
    via: Via::Timer,
    name: "refresh index",
    micros: 8_000.0,
    failures: 10,
    steps: &[call(&LIST_PRODUCTS), work(&CATEGORY)],
};
/// A traversal of the tree of categories: these traces nest deepest.
static CATEGORY: Work = Work {
    name: "index category",
    micros: 900.0,
    steps: &[query(&POSTING_WRITE).times(0, 2), work(&CATEGORY).chance(9200)],
};
static POSTING_WRITE: Dependency = postgres(
    "INSERT search.postings",
    "INSERT INTO postings (term, docs) VALUES ($1, $2) ON CONFLICT DO UPDATE",
    1_600.0,
);
