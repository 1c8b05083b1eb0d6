# syntax=docker/dockerfile:1
# The program `slipring` alone, static, without a system beside it. docs/RUNNING.md says how to run it.

FROM rust:1.95-alpine AS build
# Alpine drops old versions, so that a pinned one soon can't be had.
# hadolint ignore=DL3018
RUN apk add --no-cache build-base
WORKDIR /build
COPY . .
# Alpine's target is musl, and its programs are static.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --package slipring-cli \
    && cp target/release/slipring /slipring

FROM scratch
LABEL org.opencontainers.image.title="slipring" \
      org.opencontainers.image.description="Keeps the last minutes of telemetry in memory, bounded, and answers what happened" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /slipring /slipring
COPY --from=build /build/LICENSE-MIT /build/LICENSE-APACHE /
# No name: there is no /etc/passwd.
USER 65532:65532
# On all addresses of the container. So it starts only with SLIPRING_TOKEN, SLIPRING_TLS_CERT and SLIPRING_TLS_KEY,
# or SLIPRING_INSECURE=true.
ENV SLIPRING_GRPC=0.0.0.0:4317 \
    SLIPRING_HTTP=0.0.0.0:4318
EXPOSE 4317 4318
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/slipring", "health"]
ENTRYPOINT ["/slipring"]
CMD ["serve"]
