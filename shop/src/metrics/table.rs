//! The table of the shop's metrics.

use super::Shape::{self, *};
use crate::service::Service::{self, *};

/// A metric, and the services that report it.
pub(crate) struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub description: &'static str,
    pub shape: Shape,
    pub on: &'static [Service],
    /// The attributes of each of its series. A text that looks like a number becomes one.
    pub series: &'static [&'static [(&'static str, &'static str)]],
}

type Series = &'static [&'static [(&'static str, &'static str)]];

const ALL: &[Service] = &Service::ALL;
const JVM: &[Service] = &[Payment, Search, Ad, Accounting];
const NODE: &[Service] = &[Frontend];
const GO: &[Service] = &[Checkout, Catalogue];
const DOTNET: &[Service] = &[Cart];
const PYTHON: &[Service] = &[Recommendation];
const WEB: &[Service] = &[Frontend, Email];
const RPC: &[Service] =
    &[Cart, Checkout, Payment, Currency, Catalogue, Search, Recommendation, Shipping, Ad];
const CALLERS: &[Service] = &[Frontend, Checkout, Search, Recommendation, Shipping];
const DATABASE: &[Service] =
    &[Cart, Payment, Catalogue, Search, Recommendation, Shipping, Ad, Accounting];
const QUEUE: &[Service] = &[Checkout, Accounting];

const ONE: Series = &[&[]];
const CPU: Series = &[&[("cpu.mode", "user")], &[("cpu.mode", "system")], &[("cpu.mode", "idle")]];
const DISK: Series = &[&[("disk.io.direction", "read")], &[("disk.io.direction", "write")]];
const NET: Series =
    &[&[("network.io.direction", "transmit")], &[("network.io.direction", "receive")]];
const HEAP: Series = &[
    &[("jvm.memory.type", "heap"), ("jvm.memory.pool.name", "G1 Eden Space")],
    &[("jvm.memory.type", "heap"), ("jvm.memory.pool.name", "G1 Old Gen")],
    &[("jvm.memory.type", "non_heap"), ("jvm.memory.pool.name", "Metaspace")],
];
const GC: Series =
    &[&[("jvm.gc.name", "G1 Young Generation")], &[("jvm.gc.name", "G1 Old Generation")]];
const GENERATION: Series = &[
    &[("gc.heap.generation", "gen0")],
    &[("gc.heap.generation", "gen1")],
    &[("gc.heap.generation", "gen2")],
];
const ROUTES: Series = &[
    &[
        ("http.request.method", "GET"),
        ("http.route", "/product/{id}"),
        ("http.response.status_code", "200"),
    ],
    &[("http.request.method", "GET"), ("http.route", "/"), ("http.response.status_code", "200")],
    &[
        ("http.request.method", "GET"),
        ("http.route", "/search"),
        ("http.response.status_code", "200"),
    ],
    &[
        ("http.request.method", "POST"),
        ("http.route", "/cart"),
        ("http.response.status_code", "200"),
    ],
    &[
        ("http.request.method", "POST"),
        ("http.route", "/cart/checkout"),
        ("http.response.status_code", "200"),
    ],
    &[
        ("http.request.method", "POST"),
        ("http.route", "/cart/checkout"),
        ("http.response.status_code", "500"),
    ],
];
const CODES: Series = &[
    &[("rpc.grpc.status_code", "0")],
    &[("rpc.grpc.status_code", "4")],
    &[("rpc.grpc.status_code", "14")],
];
const POOL: Series =
    &[&[("db.client.connection.state", "used")], &[("db.client.connection.state", "idle")]];
const QUERIES: Series = &[
    &[("db.operation.name", "SELECT")],
    &[("db.operation.name", "INSERT")],
    &[("db.operation.name", "UPDATE")],
];
const PARTITIONS: Series = &[
    &[("messaging.destination.partition.id", "0")],
    &[("messaging.destination.partition.id", "1")],
];
const MONEY: Series = &[
    &[("currency", "EUR")],
    &[("currency", "USD")],
    &[("currency", "GBP")],
    &[("currency", "JPY")],
];
const CARDS: Series = &[&[("card", "visa")], &[("card", "mastercard")], &[("card", "amex")]];
const CACHES: Series = &[&[("cache", "product")], &[("cache", "price")]];

const fn row(
    name: &'static str,
    unit: &'static str,
    shape: Shape,
    on: &'static [Service],
    series: Series,
    description: &'static str,
) -> Row {
    Row { name, unit, description, shape, on, series }
}

#[rustfmt::skip] // A table.
pub(crate) static ROWS: &[Row] = &[
    // Every process.
    row("process.cpu.time", "s", Seconds(0.4), ALL, CPU, "Processor time used."),
    row("process.cpu.utilization", "1", Ratio(0.3), ALL, ONE, "Processor time used, as a share."),
    row("process.memory.usage", "By", Level(210_000_000), ALL, ONE, "Physical memory in use."),
    row("process.memory.virtual", "By", Level(1_400_000_000), ALL, ONE, "Virtual memory committed."),
    row("process.disk.io", "By", Counter(40_000.0), ALL, DISK, "Bytes moved to and from disks."),
    row("process.network.io", "By", Counter(900_000.0), ALL, NET, "Bytes moved over the network."),
    row("process.thread.count", "{thread}", Level(48), ALL, ONE, "Threads."),
    row("process.open_file_descriptor.count", "{file_descriptor}", Level(130), ALL, ONE, "Open file descriptors."),
    row("process.context_switches", "{context_switch}", Counter(1_200.0), ALL, ONE, "Context switches."),
    row("process.paging.faults", "{fault}", Counter(20.0), ALL, ONE, "Page faults."),
    row("process.uptime", "s", Seconds(1.0), ALL, ONE, "Time since the start."),
    // Every pod and its node.
    row("k8s.pod.cpu.usage", "{cpu}", Ratio(0.35), ALL, ONE, "Processors in use."),
    row("k8s.pod.memory.usage", "By", Gauge(260_000_000), ALL, ONE, "Memory in use."),
    row("k8s.pod.memory.working_set", "By", Gauge(230_000_000), ALL, ONE, "Memory that cannot be given back."),
    row("k8s.pod.network.io", "By", Counter(900_000.0), ALL, NET, "Bytes moved over the network."),
    row("k8s.pod.network.errors", "{error}", Counter(0.02), ALL, NET, "Failed network operations."),
    row("k8s.pod.filesystem.usage", "By", Gauge(90_000_000), ALL, ONE, "Disk space in use."),
    row("k8s.container.restart.count", "{restart}", Gauge(1), ALL, ONE, "Restarts."),
    row("k8s.container.cpu.limit", "{cpu}", Gauge(2), ALL, ONE, "Processors allowed."),
    row("k8s.container.memory.limit", "By", Gauge(536_870_912), ALL, ONE, "Memory allowed."),
    row("system.cpu.time", "s", Seconds(0.7), ALL, CPU, "The node's processor time."),
    row("system.cpu.load_average.1m", "1", Ratio(0.6), ALL, ONE, "The node's load."),
    row("system.memory.usage", "By", Level(24_000_000_000), ALL, ONE, "The node's memory in use."),
    row("system.memory.utilization", "1", Ratio(0.7), ALL, ONE, "The node's memory in use, as a share."),
    row("system.disk.io", "By", Counter(700_000.0), ALL, DISK, "Bytes moved to and from the node's disks."),
    row("system.disk.operations", "{operation}", Counter(60.0), ALL, DISK, "Operations of the node's disks."),
    row("system.filesystem.utilization", "1", Ratio(0.5), ALL, ONE, "The node's disk space in use, as a share."),
    row("system.network.packets", "{packet}", Counter(2_500.0), ALL, NET, "Packets of the node."),
    row("system.network.errors", "{error}", Counter(0.05), ALL, NET, "Network errors of the node."),
    row("otel.sdk.span.started", "{span}", Counter(90.0), ALL, ONE, "Spans begun."),
    row("otel.sdk.exporter.span.exported", "{span}", Counter(90.0), ALL, ONE, "Spans exported."),
    row("otel.sdk.processor.span.queue.size", "{span}", Level(60), ALL, ONE, "Spans that wait to be exported."),
    // Runtimes.
    row("jvm.memory.used", "By", Level(70_000_000), JVM, HEAP, "Memory used."),
    row("jvm.memory.committed", "By", Level(120_000_000), JVM, HEAP, "Memory committed."),
    row("jvm.memory.limit", "By", Level(256_000_000), JVM, HEAP, "Memory that can be had."),
    row("jvm.memory.used_after_last_gc", "By", Level(40_000_000), JVM, HEAP, "Memory used after the last collection."),
    row("jvm.gc.duration", "s", Histogram(0.008, 0.8), JVM, GC, "Duration of collections."),
    row("jvm.thread.count", "{thread}", Level(52), JVM, ONE, "Threads."),
    row("jvm.class.loaded", "{class}", Counter(0.5), JVM, ONE, "Classes loaded since the start."),
    row("jvm.class.unloaded", "{class}", Counter(0.01), JVM, ONE, "Classes unloaded since the start."),
    row("jvm.class.count", "{class}", Level(14_000), JVM, ONE, "Classes loaded."),
    row("jvm.cpu.count", "{cpu}", Level(2), JVM, ONE, "Processors at hand."),
    row("jvm.cpu.recent_utilization", "1", Ratio(0.25), JVM, ONE, "Recent use of the processors."),
    row("jvm.buffer.memory.used", "By", Level(9_000_000), JVM, ONE, "Memory used by buffers."),
    row("jvm.buffer.count", "{buffer}", Level(70), JVM, ONE, "Buffers."),
    row("jvm.safepoint.duration", "s", Summary(0.0006, 3.0), JVM, ONE, "Time to reach a safepoint."),
    row("go.goroutine.count", "{goroutine}", Level(90), GO, ONE, "Goroutines."),
    row("go.memory.used", "By", Level(38_000_000), GO, ONE, "Memory used."),
    row("go.memory.allocated", "By", Counter(4_000_000.0), GO, ONE, "Memory allocated."),
    row("go.memory.allocations", "{allocation}", Counter(30_000.0), GO, ONE, "Allocations."),
    row("go.memory.gc.goal", "By", Level(64_000_000), GO, ONE, "Heap size that the collector aims at."),
    row("go.processor.limit", "{thread}", Level(2), GO, ONE, "Threads that may run at once."),
    row("go.schedule.duration", "s", Histogram(0.00002, 400.0), GO, ONE, "Time goroutines wait to run."),
    row("go.config.gogc", "%", Level(100), GO, ONE, "The collector's setting."),
    row("nodejs.eventloop.delay.p50", "s", Ratio(0.002), NODE, ONE, "Median delay of the event loop."),
    row("nodejs.eventloop.delay.p99", "s", Ratio(0.02), NODE, ONE, "99th percentile of the event loop's delay."),
    row("nodejs.eventloop.utilization", "1", Ratio(0.4), NODE, ONE, "Use of the event loop."),
    row("v8js.memory.heap.used", "By", Level(60_000_000), NODE, ONE, "Heap used."),
    row("v8js.memory.heap.limit", "By", Level(2_000_000_000), NODE, ONE, "Heap that can be had."),
    row("v8js.gc.duration", "s", Histogram(0.004, 2.0), NODE, ONE, "Duration of collections."),
    row("dotnet.gc.collections", "{collection}", Counter(0.6), DOTNET, GENERATION, "Collections."),
    row("dotnet.gc.heap.total_allocated", "By", Counter(3_000_000.0), DOTNET, ONE, "Memory allocated."),
    row("dotnet.gc.pause.time", "s", Seconds(0.003), DOTNET, ONE, "Time in pauses."),
    row("dotnet.thread_pool.queue.length", "{work_item}", Level(2), DOTNET, ONE, "Work that waits for a thread."),
    row("dotnet.exceptions", "{exception}", Counter(0.2), DOTNET, ONE, "Exceptions thrown."),
    row("cpython.gc.collections", "{collection}", Counter(1.5), PYTHON, ONE, "Collections."),
    row("cpython.gc.collected_objects", "{object}", Counter(900.0), PYTHON, ONE, "Objects collected."),
    // Requests.
    row("http.server.request.duration", "s", Histogram(0.03, 20.0), WEB, ROUTES, "Duration of requests served."),
    row("http.server.active_requests", "{request}", Level(12), WEB, ONE, "Requests being served."),
    row("http.server.request.body.size", "By", Histogram(600.0, 6.0), WEB, ROUTES, "Size of requests served."),
    row("http.server.response.body.size", "By", Histogram(24_000.0, 20.0), WEB, ROUTES, "Size of responses."),
    row("http.client.request.duration", "s", Exponential(0.06, 2.0), QUEUE, ONE, "Duration of requests made."),
    row("http.client.open_connections", "{connection}", Level(9), QUEUE, ONE, "Open connections."),
    row("rpc.server.duration", "ms", Exponential(1.8, 30.0), RPC, CODES, "Duration of calls served."),
    row("rpc.server.request.size", "By", Histogram(120.0, 30.0), RPC, ONE, "Size of calls served."),
    row("rpc.server.response.size", "By", Histogram(900.0, 30.0), RPC, ONE, "Size of answers."),
    row("rpc.client.duration", "ms", Exponential(2.4, 60.0), CALLERS, CODES, "Duration of calls made."),
    row("rpc.client.retries", "{retry}", Counter(0.05), CALLERS, ONE, "Calls made again."),
    row("db.client.operation.duration", "s", Exponential(0.0011, 40.0), DATABASE, QUERIES, "Duration of statements."),
    row("db.client.response.returned_rows", "{row}", Histogram(12.0, 40.0), DATABASE, ONE, "Rows returned."),
    row("db.client.connection.count", "{connection}", Level(8), DATABASE, POOL, "Connections."),
    row("db.client.connection.max", "{connection}", Level(32), DATABASE, ONE, "Connections allowed."),
    row("db.client.connection.pending_requests", "{request}", Level(1), DATABASE, ONE, "Requests for a connection."),
    row("db.client.connection.timeouts", "{timeout}", Counter(0.01), DATABASE, ONE, "Connections not had in time."),
    row("db.client.connection.wait_time", "s", Histogram(0.0004, 40.0), DATABASE, ONE, "Wait for a connection."),
    row("messaging.client.sent.messages", "{message}", Counter(0.8), QUEUE, PARTITIONS, "Messages sent."),
    row("messaging.client.consumed.messages", "{message}", Counter(0.8), QUEUE, PARTITIONS, "Messages taken."),
    row("messaging.process.duration", "s", Histogram(0.012, 0.8), QUEUE, PARTITIONS, "Duration of processing."),
    row("messaging.kafka.consumer.lag", "{message}", Gauge(15), QUEUE, PARTITIONS, "Messages not yet taken."),
    // The shop's own metrics.
    row("shop.orders.placed", "{order}", Counter(0.7), &[Checkout], MONEY, "Orders."),
    row("shop.orders.failed", "{order}", Counter(0.02), &[Checkout], MONEY, "Orders that failed."),
    row("shop.order.amount", "{euro}", Histogram(40.0, 0.7), &[Checkout], MONEY, "What orders are worth."),
    row("shop.order.items", "{item}", Summary(2.0, 0.7), &[Checkout], ONE, "Items in an order."),
    row("shop.cart.items.added", "{item}", Counter(3.0), &[Cart], ONE, "Items put into carts."),
    row("shop.carts.open", "{cart}", Level(2_300), &[Cart], ONE, "Carts with something in them."),
    row("shop.carts.abandoned", "{cart}", Counter(0.4), &[Cart], ONE, "Carts given up."),
    row("shop.payments.charged", "{payment}", Counter(0.7), &[Payment], CARDS, "Payments."),
    row("shop.payments.declined", "{payment}", Counter(0.03), &[Payment], CARDS, "Payments declined."),
    row("shop.payment.gateway.duration", "s", Summary(0.09, 0.7), &[Payment], ONE, "Duration of charges."),
    row("shop.currency.conversions", "{conversion}", Counter(60.0), &[Currency], MONEY, "Conversions."),
    row("shop.currency.rate", "1", Ratio(0.9), &[Currency], MONEY, "Rates against the euro."),
    row("shop.catalogue.products", "{product}", Level(1_000), &[Catalogue], ONE, "Products."),
    row("shop.catalogue.cache.hits", "{hit}", Counter(55.0), &[Catalogue], CACHES, "Found in the cache."),
    row("shop.catalogue.cache.misses", "{miss}", Counter(20.0), &[Catalogue], CACHES, "Not found in the cache."),
    row("shop.search.queries", "{query}", Counter(9.0), &[Search], ONE, "Searches."),
    row("shop.search.hits", "{hit}", Histogram(40.0, 9.0), &[Search], ONE, "Products found by a search."),
    row("shop.search.index.age", "s", Gauge(280), &[Search], ONE, "Age of the index."),
    row("shop.search.index.documents", "{document}", Level(1_000), &[Search], ONE, "Documents in the index."),
    row("shop.recommendation.served", "{product}", Counter(80.0), &[Recommendation], ONE, "Recommendations."),
    row("shop.recommendation.model.age", "s", Gauge(40_000), &[Recommendation], ONE, "Age of the model."),
    row("shop.recommendation.score", "1", Exponential(0.4, 20.0), &[Recommendation], ONE, "Scores of recommendations."),
    row("shop.shipping.quotes", "{quote}", Counter(0.8), &[Shipping], ONE, "Quotes."),
    row("shop.shipping.parcels", "{parcel}", Delta(0.9), &[Shipping], ONE, "Parcels since the point before."),
    row("shop.shipping.parcel.weight", "kg", Histogram(1.4, 0.9), &[Shipping], ONE, "Weights of parcels."),
    row("shop.ad.impressions", "{impression}", Delta(30.0), &[Ad], ONE, "Ads shown since the point before."),
    row("shop.ad.clicks", "{click}", Delta(0.5), &[Ad], ONE, "Ads clicked since the point before."),
    row("shop.email.sent", "{email}", Counter(0.9), &[Email], ONE, "Emails sent."),
    row("shop.email.bounced", "{email}", Counter(0.01), &[Email], ONE, "Emails that came back."),
    row("shop.accounting.entries", "{entry}", Counter(4.0), &[Accounting], ONE, "Entries made."),
    row("shop.accounting.balance", "{euro}", Ratio(12_000.0), &[Accounting], MONEY, "Balances."),
    row("shop.feature.enabled", "1", Gauge(1), &[Frontend], ONE, "Whether the new page is on."),
];
