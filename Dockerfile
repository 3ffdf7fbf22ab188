# The image for Replicate, or for any machine with a container engine: the server, one model folder, nothing else.
#
#   docker build -t textflight .
#   docker run --rm -p 5000:5000 -p 8815:8815 textflight
#
# MODEL is a folder of this repository in Hugging Face's layout. Its labels make it a Cog image; tests/suite/image.rs
# holds them to what the binary says of itself.

# CUDA=1 builds the feature `cuda` on CUDA's images: docker run --gpus all then takes the first GPU. Without it nothing of CUDA is
# fetched. Only names of images depend on it, which BuildKit and older buildahs (1.28) resolve alike.
ARG CUDA=
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG CUDA_BUILD_IMAGE=nvidia/cuda:12.9.1-devel-ubuntu24.04
ARG CUDA_RUNTIME_IMAGE=nvidia/cuda:12.9.1-runtime-ubuntu24.04
ARG WITH_CUDA_BUILD=${CUDA:+$CUDA_BUILD_IMAGE}
ARG WITH_CUDA_RUNTIME=${CUDA:+$CUDA_RUNTIME_IMAGE}

FROM ${RUST_IMAGE} AS toolchain

# Images without a tag are what the arguments name.
# hadolint ignore=DL3006
FROM ${WITH_CUDA_BUILD:-$RUST_IMAGE} AS builder
ARG CUDA
RUN case "$CUDA" in '' | 1) ;; *) echo "CUDA=$CUDA: say CUDA=1, or leave it out for the CPU" >&2; exit 1 ;; esac
# Rust comes from its own image, whichever this one is, and without rustup, which writes beside it. A C compiler is in both.
ENV CARGO_HOME=/cargo \
    CUDA_HOME=/usr/local/cuda \
    TEXTFLIGHT_CUDA_ARCHITECTURES="75 80 86 89 90 100 120"
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY kernels kernels
COPY src src
RUN --mount=type=bind,from=toolchain,source=/usr/local/rustup/toolchains,target=/toolchains \
    PATH="$(echo /toolchains/*/bin):$PATH" cargo build --locked --release --bin textflight --features "otlp${CUDA:+,cuda}"

# hadolint ignore=DL3006
FROM ${WITH_CUDA_RUNTIME:-$RUNTIME_IMAGE}
ARG CUDA
ARG HAS_GPU=${CUDA:+true}
ARG MODEL=data/sst2-mini
# A number, so that a cluster can see that it is not root. The folder keeps models of the hub, where one is asked for, and what the
# driver compiles for a card that is newer than the kernels: with --read-only it is a volume's place. What is too large for memory goes to /tmp, which --tmpfs /tmp makes writable.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin textflight \
    && install -d -o 10001 -g 10001 /var/cache/textflight /var/cache/textflight/cuda
COPY --from=builder /src/target/release/textflight /usr/local/bin/textflight
COPY ${MODEL} /model
# What `--model bundled` is.
COPY data/sst2-mini /usr/local/share/textflight/sst2-mini
USER 10001:10001

# As a variable the folder can be exchanged at `docker run`. PORT is Cog's: the server then listens on 0.0.0.0:PORT.
# Who may reach a container is its platform's to say: without tokens it serves whoever comes.
ENV TEXTFLIGHT_MODEL=/model \
    TEXTFLIGHT_ALLOW_ANONYMOUS=true \
    HF_HOME=/var/cache/textflight \
    CUDA_CACHE_PATH=/var/cache/textflight/cuda \
    PORT=5000
EXPOSE 5000 8815
STOPSIGNAL SIGTERM

LABEL org.opencontainers.image.title='textflight'
LABEL org.opencontainers.image.description='Scores text columns: Arrow Flight, Parquet and JSON in, label and confidence out'
LABEL org.opencontainers.image.version='0.1.0'
LABEL org.opencontainers.image.licenses='Apache-2.0'

LABEL run.cog.config="{\"build\":{\"gpu\":${HAS_GPU:-false},\"python_version\":\"3.12\"},\"predict\":\"predict.py:Predictor\"}"
LABEL run.cog.version='0.23.1'
LABEL run.cog.has_init='true'
# What `textflight schema` prints.
LABEL run.cog.openapi_schema='{"components":{"schemas":{"HTTPValidationError":{"properties":{"detail":{"items":{"$ref":"#/components/schemas/ValidationError"},"title":"Detail","type":"array"}},"title":"HTTPValidationError","type":"object"},"Input":{"properties":{"texts":{"description":"A JSON-formatted list of texts for sentiment analysis","title":"Texts","type":"string","x-order":0}},"required":["texts"],"title":"Input","type":"object","additionalProperties":true},"Output":{"title":"Output","type":"object"},"PredictionRequest":{"properties":{"id":{"title":"Id","type":"string","nullable":true},"input":{"$ref":"#/components/schemas/Input"},"webhook":{"title":"Webhook","type":"string","nullable":true},"webhook_events_filter":{"title":"Webhook Events Filter","type":"array","items":{"type":"string","enum":["start","output","logs","completed"]}},"context":{"title":"Context","type":"object","additionalProperties":{"type":"string"}}},"title":"PredictionRequest","type":"object","required":["input"]},"PredictionResponse":{"properties":{"completed_at":{"format":"date-time","title":"Completed At","type":"string"},"created_at":{"format":"date-time","title":"Created At","type":"string"},"error":{"title":"Error","type":"string"},"id":{"title":"Id","type":"string"},"input":{"$ref":"#/components/schemas/Input"},"logs":{"title":"Logs","type":"string"},"metrics":{"title":"Metrics","type":"object"},"output":{"$ref":"#/components/schemas/Output"},"started_at":{"format":"date-time","title":"Started At","type":"string"},"status":{"title":"Status","type":"string"},"version":{"title":"Version","type":"string"}},"title":"PredictionResponse","type":"object"},"Status":{"description":"An enumeration.","enum":["starting","processing","succeeded","canceled","failed"],"title":"Status","type":"string"},"ValidationError":{"properties":{"loc":{"items":{"anyOf":[{"type":"string"},{"type":"integer"}]},"title":"Location","type":"array"},"msg":{"title":"Message","type":"string"},"type":{"title":"Error Type","type":"string"}},"required":["loc","msg","type"],"title":"ValidationError","type":"object"},"NamedPredictionRequest":{"properties":{"input":{"$ref":"#/components/schemas/Input"},"webhook":{"title":"Webhook","type":"string","nullable":true},"webhook_events_filter":{"title":"Webhook Events Filter","type":"array","items":{"type":"string","enum":["start","output","logs","completed"]}},"context":{"title":"Context","type":"object","additionalProperties":{"type":"string"}}},"required":["input"],"title":"NamedPredictionRequest","type":"object"},"Error":{"properties":{"detail":{"type":"string"},"error":{"type":"string"},"status":{"type":"string"}},"title":"Error","type":"object"}}},"info":{"title":"Cog","version":"0.23.1"},"openapi":"3.0.2","paths":{"/":{"get":{"operationId":"root__get","responses":{"200":{"content":{"application/json":{"schema":{}}},"description":"Successful Response"}},"summary":"Root"}},"/health-check":{"get":{"operationId":"healthcheck_health_check_get","responses":{"200":{"content":{"application/json":{"schema":{}}},"description":"Successful Response"}},"summary":"Healthcheck"}},"/predictions":{"post":{"description":"Run a single prediction on the model","operationId":"predict_predictions_post","requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionRequest"}}},"required":true},"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionResponse"}}},"description":"Successful Response"},"422":{"description":"Validation Error","content":{"application/json":{"schema":{"$ref":"#/components/schemas/HTTPValidationError"}},"text/plain":{"schema":{"type":"string"}}}},"202":{"description":"Accepted","content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionResponse"}}}},"400":{"description":"The body is not JSON","content":{"text/plain":{"schema":{"type":"string"}}}},"401":{"description":"No token","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"406":{"description":"No event stream","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"409":{"description":"All slots busy","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"413":{"description":"Too large","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}},"text/plain":{"schema":{"type":"string"}}}},"415":{"description":"The body does not say that it is JSON","content":{"text/plain":{"schema":{"type":"string"}}}},"503":{"description":"No model","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}},"summary":"Predict"}},"/predictions/{prediction_id}/cancel":{"post":{"operationId":"cancel_predictions__prediction_id__cancel_post","parameters":[{"in":"path","name":"prediction_id","required":true,"schema":{"title":"Prediction ID","type":"string"}}],"responses":{"200":{"content":{"application/json":{"schema":{}}},"description":"Successful Response"},"422":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/HTTPValidationError"}}},"description":"Validation Error"},"404":{"description":"Not Running","content":{"application/json":{"schema":{}}}},"401":{"description":"No token","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}},"summary":"Cancel"}},"/predictions/{prediction_id}":{"put":{"description":"Run a single prediction on the model, under an id; the same again while it runs answers how far it is","operationId":"predict_idempotent_predictions__prediction_id__put","parameters":[{"in":"path","name":"prediction_id","required":true,"schema":{"title":"Prediction ID","type":"string","minLength":1}}],"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/NamedPredictionRequest"}}}},"responses":{"200":{"description":"Successful Response","content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionResponse"}}}},"422":{"description":"Validation Error","content":{"application/json":{"schema":{"$ref":"#/components/schemas/HTTPValidationError"}},"text/plain":{"schema":{"type":"string"}}}},"202":{"description":"Accepted","content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionResponse"}}}},"400":{"description":"The body is not JSON","content":{"text/plain":{"schema":{"type":"string"}}}},"401":{"description":"No token","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"406":{"description":"No event stream","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"409":{"description":"All slots busy","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"413":{"description":"Too large","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}},"text/plain":{"schema":{"type":"string"}}}},"415":{"description":"The body does not say that it is JSON","content":{"text/plain":{"schema":{"type":"string"}}}},"503":{"description":"No model","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}},"summary":"Predict Idempotent"},"get":{"description":"A prediction that runs, or that ended not long ago","operationId":"find_predictions__prediction_id__get","parameters":[{"in":"path","name":"prediction_id","required":true,"schema":{"title":"Prediction ID","type":"string","minLength":1}}],"responses":{"200":{"description":"Successful Response","content":{"application/json":{"schema":{"$ref":"#/components/schemas/PredictionResponse"}}}},"401":{"description":"No token","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}},"404":{"description":"Unknown","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}},"summary":"Find"}}}}'

# Asks what needs no token. Where TLS is set, that the port takes a connection is all that can be seen without a client's certificate.
# By bash, which opens ports itself: the image has no program that asks over HTTP without a token.
# hadolint ignore=DL3025
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD bash -c 'port=${TEXTFLIGHT_HTTP##*:}; exec 3<>"/dev/tcp/127.0.0.1/${port:-$PORT}" && { [ -n "$TEXTFLIGHT_TLS_CERT" ] || { printf "GET /health-check HTTP/1.0\r\n\r\n" >&3; grep -Eq "\"status\":\"(READY|BUSY)\"" <&3; }; }'

CMD ["textflight", "serve", "--flight", "0.0.0.0:8815"]
