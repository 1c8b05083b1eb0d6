//! The shop's services.

use Service::*;

/// One of the shop's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Frontend,
    Cart,
    Checkout,
    Payment,
    Currency,
    Catalogue,
    Search,
    Recommendation,
    Shipping,
    Ad,
    Email,
    Accounting,
}

/// The properties of a service.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub name: &'static str,
    pub version: &'static str,
    pub language: &'static str,
    pub command: &'static [&'static str],
    pub port: u16,
    /// The number of its instances.
    pub instances: u64,
}

impl Service {
    pub const ALL: [Self; 12] = [
        Frontend,
        Cart,
        Checkout,
        Payment,
        Currency,
        Catalogue,
        Search,
        Recommendation,
        Shipping,
        Ad,
        Email,
        Accounting,
    ];

    #[rustfmt::skip] // A table.
    pub fn facts(self) -> Facts {
        const JAVA: &[&str] = &["java", "-Xmx1g", "-javaagent:/opt/opentelemetry.jar", "-jar", "/app/app.jar"];
        const NODE: &[&str] = &["node", "--require", "./telemetry.js", "server.js"];
        const RUBY: &[&str] = &["bundle", "exec", "ruby", "email_server.rb"];
        match self {
            Frontend => Facts::new("frontend", "2.14.1", "nodejs", NODE, 8080, 4),
            Cart => Facts::new("cart", "1.9.0", "dotnet", &["./cart"], 7070, 3),
            Checkout => Facts::new("checkout", "1.31.2", "go", &["/usr/bin/checkout"], 5050, 2),
            Payment => Facts::new("payment", "3.2.0", "java", JAVA, 50051, 2),
            Currency => Facts::new("currency", "0.8.5", "cpp", &["./currency", "7001"], 7001, 2),
            Catalogue => Facts::new("catalogue", "1.12.0", "go", &["/usr/bin/catalogue"], 3550, 4),
            Search => Facts::new("search", "4.0.3", "java", JAVA, 9090, 3),
            Recommendation => Facts::new("recommendation", "1.4.7", "python", &["python", "serve.py"], 9001, 3),
            Shipping => Facts::new("shipping", "1.1.0", "rust", &["/app/shipping"], 50052, 2),
            Ad => Facts::new("ad", "2.0.0", "java", JAVA, 9555, 2),
            Email => Facts::new("email", "1.0.12", "ruby", RUBY, 6060, 1),
            Accounting => Facts::new("accounting", "1.6.4", "java", JAVA, 9200, 2),
        }
    }
}

impl Facts {
    const fn new(
        name: &'static str,
        version: &'static str,
        language: &'static str,
        command: &'static [&'static str],
        port: u16,
        instances: u64,
    ) -> Self {
        Self { name, version, language, command, port, instances }
    }
}
