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

/// What is known of a service.
pub(crate) struct Facts {
    pub name: &'static str,
    pub version: &'static str,
    pub language: &'static str,
    pub command: &'static [&'static str],
    pub port: u16,
    /// How many instances of it run.
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
    pub fn facts(self) -> &'static Facts {
        const JAVA: &[&str] = &["java", "-Xmx1g", "-javaagent:/opt/opentelemetry-javaagent.jar", "-jar", "/app/app.jar"];
        match self {
            Frontend => &Facts { name: "frontend", version: "2.14.1", language: "nodejs", command: &["node", "--require", "./telemetry.js", "server.js"], port: 8080, instances: 4 },
            Cart => &Facts { name: "cart", version: "1.9.0", language: "dotnet", command: &["./cart"], port: 7070, instances: 3 },
            Checkout => &Facts { name: "checkout", version: "1.31.2", language: "go", command: &["/usr/bin/checkout"], port: 5050, instances: 2 },
            Payment => &Facts { name: "payment", version: "3.2.0", language: "java", command: JAVA, port: 50051, instances: 2 },
            Currency => &Facts { name: "currency", version: "0.8.5", language: "cpp", command: &["./currency", "7001"], port: 7001, instances: 2 },
            Catalogue => &Facts { name: "catalogue", version: "1.12.0", language: "go", command: &["/usr/bin/catalogue"], port: 3550, instances: 4 },
            Search => &Facts { name: "search", version: "4.0.3", language: "java", command: JAVA, port: 9090, instances: 3 },
            Recommendation => &Facts { name: "recommendation", version: "1.4.7", language: "python", command: &["python", "-m", "recommendation"], port: 9001, instances: 3 },
            Shipping => &Facts { name: "shipping", version: "1.1.0", language: "rust", command: &["/app/shipping"], port: 50052, instances: 2 },
            Ad => &Facts { name: "ad", version: "2.0.0", language: "java", command: JAVA, port: 9555, instances: 2 },
            Email => &Facts { name: "email", version: "1.0.12", language: "ruby", command: &["bundle", "exec", "ruby", "email_server.rb"], port: 6060, instances: 1 },
            Accounting => &Facts { name: "accounting", version: "1.6.4", language: "java", command: JAVA, port: 9200, instances: 2 },
        }
    }
}
