# Two stages: one builds, the other holds the binary and nothing to build with.
#
#   docker build -t segmill .
#   docker run --rm -v "$PWD:/project" segmill run --as-of 2011-12-10
#
# Another image with Rust 1.95 or newer, a C compiler and make can build: --build-arg BUILDER=registry.example/rust:1.95
ARG BUILDER=docker.io/library/rust:1.95-bookworm
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BUILDER} AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY allocator allocator
COPY fuzz fuzz
COPY src src
COPY pipelines pipelines
COPY sql sql
COPY templates templates
COPY tests/models tests/models
COPY examples examples
RUN cargo build --locked --profile dist --bin segmill && cp target/dist/segmill /segmill

FROM ${BASE}
# The roots that TLS to object stores is checked against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /segmill /usr/local/bin/segmill
# No name, no home, no shell: a number that owns nothing.
USER 65532:65532
WORKDIR /project
ENTRYPOINT ["/usr/local/bin/segmill"]
CMD ["--help"]
