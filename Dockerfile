# Images for everybody who has a registry: `docker build .` makes the operator, `docker build --target executor .` the
# example executor. Each holds one static binary, runs as nobody, and writes to no file. There is no `syntax` line: it would have the
# build fetch another builder, and BuildKit's own knows all that is used here.

# The toolchain that rust-toolchain.toml names; the file itself stays outside, or rustup would fetch the lints too.
# By digest, of all platforms: the tag may come to mean another image. `docker buildx imagetools inspect rust:1.95.0-bookworm` shows
# the digest of a newer one.
FROM rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS build
WORKDIR /src
COPY . .
# Writes the list of dependencies into the binaries, for scanners such as `cargo audit bin`.
RUN --mount=type=cache,target=/usr/local/cargo/registry cargo install --locked cargo-auditable@0.7.7
# Static, C library included; --target keeps the flags away from build scripts.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    host=$(rustc -vV | sed -n 's/^host: //p') \
    && cargo auditable build --locked --release --target "$host" --package colonyos-operator \
        --bin colonyos-operator --example executor \
    && install -D "target/$host/release/colonyos-operator" /out/colonyos-operator \
    && install -D "target/$host/release/examples/executor" /out/executor

FROM scratch AS executor
COPY --from=build /out/executor /bin/executor
ENV PATH=/bin
USER 65532:65532
ENTRYPOINT ["/bin/executor"]

FROM scratch AS operator
COPY --from=build /out/colonyos-operator /bin/colonyos-operator
ENV PATH=/bin
USER 65532:65532
ENTRYPOINT ["/bin/colonyos-operator"]
