# The image for Replicate, or for any machine with a container engine: the server, one model folder, nothing else.
#
#   docker build -t textflight .
#   docker run --rm -p 5000:5000 -p 8815:8815 textflight
#
# MODEL is a folder of this repository in Hugging Face's layout. Its labels make it a Cog image; tests/suite/image.rs
# holds them to what the binary says of itself.

# 1 builds the feature `cuda` on CUDA's images. This version of textflight has no such feature: the build then says so.
ARG CUDA=0
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG CUDA_BUILD_IMAGE=nvidia/cuda:12.6.3-devel-ubuntu24.04
ARG CUDA_RUNTIME_IMAGE=nvidia/cuda:12.6.3-runtime-ubuntu24.04

FROM ${RUST_IMAGE} AS toolchain

FROM toolchain AS builder-0
ENV CARGO_FEATURES=""

FROM ${CUDA_BUILD_IMAGE} AS builder-1
ENV CARGO_FEATURES="cuda" CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
COPY --from=toolchain /usr/local/cargo /usr/local/cargo
COPY --from=toolchain /usr/local/rustup /usr/local/rustup
# A C compiler is in CUDA's image already.

# A stage of this file, not an image without a tag.
# hadolint ignore=DL3006
FROM builder-${CUDA} AS builder
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Before an hour of compiling: cargo's own words for a feature that is missing do not say what to do.
RUN if [ -n "$CARGO_FEATURES" ] && ! grep -q "^$CARGO_FEATURES = " Cargo.toml; then \
        echo "error: CUDA=1, but this version of textflight has no feature '$CARGO_FEATURES': build with CUDA=0" >&2; \
        exit 1; \
    fi
COPY benches benches
COPY src src
RUN cargo build --locked --release --bin textflight --features "$CARGO_FEATURES"

FROM ${RUNTIME_IMAGE} AS runtime-0
LABEL run.cog.config='{"build":{"gpu":false,"python_version":"3.12"},"predict":"predict.py:Predictor"}'

FROM ${CUDA_RUNTIME_IMAGE} AS runtime-1
LABEL run.cog.config='{"build":{"cuda":"12.6","gpu":true,"python_version":"3.12"},"predict":"predict.py:Predictor"}'

# hadolint ignore=DL3006
FROM runtime-${CUDA}
ARG MODEL=data/sst2-mini
# A number, so that a cluster can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin textflight
COPY --from=builder /src/target/release/textflight /usr/local/bin/textflight
COPY ${MODEL} /model
USER 10001

# As a variable the folder can be exchanged at `docker run`. PORT is Cog's: the server then listens on 0.0.0.0:PORT.
ENV TEXTFLIGHT_MODEL=/model \
    PORT=5000
EXPOSE 5000 8815

LABEL run.cog.version='0.23.1'
LABEL run.cog.has_init='true'
# What `textflight schema` prints.
LABEL run.cog.openapi_schema='{}'

# A prediction of no texts goes all the way a prediction goes. With TEXTFLIGHT_API_TOKEN it says who asks.
# Through a shell, which knows PORT.
# hadolint ignore=DL3025
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD textflight predict --url "http://127.0.0.1:${PORT}" -i 'texts=[]' --log error

CMD ["textflight", "serve", "--flight", "0.0.0.0:8815"]
