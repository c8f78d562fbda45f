//! A receiver of OTLP over HTTP and gRPC. What it understands of spans is OpenTelemetry's own generated code, not ours.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use portcullis_tests::{Origin, Reply, in_time};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

/// What a receiver does instead of taking spans, once.
#[derive(Debug, Clone)]
pub(super) enum Mood {
    /// Answers with this status of HTTP and these fields.
    Http(u16, Vec<(&'static str, String)>),
    /// Answers with these bytes.
    Bytes(&'static str),
    /// Never answers.
    Silence,
    /// Answers with this status of gRPC.
    Grpc(tonic::Code),
}

#[derive(Default)]
struct State {
    moods: VecDeque<Mood>,
    /// What it does when `moods` is empty; none: it takes spans.
    always: Option<Mood>,
}

impl State {
    fn next(&mut self) -> Option<Mood> {
        self.moods.pop_front().or_else(|| self.always.clone())
    }
}

/// A running receiver.
pub(super) struct Receiver {
    address: SocketAddr,
    requests: Arc<watch::Sender<Vec<ExportTraceServiceRequest>>>,
    asked: Arc<watch::Sender<usize>>,
    state: Arc<Mutex<State>>,
    /// Metadata of the last request.
    pub(super) metadata: Arc<Mutex<MetadataMap>>,
    origin: Option<Origin>,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that speaks OTLP/HTTP.
    pub(super) async fn http() -> Self {
        let (requests, asked, state) = shared();
        let (to, count, moods) = (requests.clone(), asked.clone(), state.clone());
        let origin = Origin::start(move |seen| {
            count.send_modify(|asked| *asked += 1);
            assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/traces"));
            assert_eq!(seen.value("content-type"), Some("application/x-protobuf"));
            let mood = moods.lock().unwrap().next();
            match mood {
                None => {}
                Some(Mood::Http(status, fields)) => {
                    let reply = Reply::new(status, "");
                    return fields.iter().fold(reply, |reply, (name, value)| reply.field(name, value));
                }
                Some(Mood::Bytes(bytes)) => return Reply::raw(bytes),
                Some(Mood::Silence) => return Reply::silence(),
                Some(Mood::Grpc(_)) => panic!("this receiver does not speak gRPC"),
            }
            let mut body = seen.body.clone();
            if seen.value("content-encoding") == Some("gzip") {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
                body = plain;
            }
            let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("a request in protobuf");
            to.send_modify(|all| all.push(request));
            let answer = ExportTraceServiceResponse::default().encode_to_vec();
            Reply::ok(answer).field("content-type", "application/x-protobuf")
        })
        .await;
        let metadata = Arc::default();
        Self { address: origin.address(), requests, asked, state, metadata, origin: Some(origin), task: None }
    }

    /// One that speaks OTLP/gRPC, as tonic does.
    pub(super) async fn grpc() -> Self {
        let (requests, asked, state) = shared();
        let metadata: Arc<Mutex<MetadataMap>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, count, moods) = (requests.clone(), asked.clone(), state.clone());
        let service = Service { requests: to, asked: count, state: moods, metadata: metadata.clone() };
        let service = TraceServiceServer::new(service).accept_compressed(CompressionEncoding::Gzip);
        let task = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            tonic::transport::Server::builder().serve_with_incoming(service, incoming).await.unwrap();
        });
        Self { address, requests, asked, state, metadata, origin: None, task: Some(task) }
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets it do something else, once for each.
    pub(super) fn moods(&self, moods: impl IntoIterator<Item = Mood>) {
        self.state.lock().unwrap().moods.extend(moods);
    }

    /// Lets it do something else from now on, or take spans again.
    pub(super) fn always(&self, mood: Option<Mood>) {
        self.state.lock().unwrap().always = mood;
    }

    /// Waits until it has been asked so often, whatever it did.
    pub(super) async fn asked(&self, count: usize) {
        let mut watching = self.asked.subscribe();
        in_time("requests at the receiver", watching.wait_for(|asked| *asked >= count)).await.unwrap();
    }

    /// What came over HTTP.
    pub(super) fn origin(&self) -> &Origin {
        self.origin.as_ref().expect("a receiver that speaks HTTP")
    }

    /// The spans that it has taken.
    pub(super) fn spans(&self) -> Vec<Told> {
        told(&self.requests.borrow())
    }

    /// The resources that came with them.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let requests = self.requests.borrow();
        let spans = requests.iter().flat_map(|request| &request.resource_spans);
        spans.filter_map(|spans| spans.resource.clone()).collect()
    }

    /// Waits until the spans that it has taken are as wanted.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let mut watching = self.requests.subscribe();
        let seen = in_time(what, watching.wait_for(|requests| wanted(&told(requests)))).await;
        told(&seen.unwrap())
    }

    /// Waits for so many spans of exchanges.
    pub(super) async fn exchanges(&self, count: usize) -> Vec<Told> {
        let all = self.until("spans of exchanges", |spans| servers(spans).len() >= count).await;
        servers(&all)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

type Shared = (Arc<watch::Sender<Vec<ExportTraceServiceRequest>>>, Arc<watch::Sender<usize>>, Arc<Mutex<State>>);

fn shared() -> Shared {
    (Arc::new(watch::Sender::new(Vec::new())), Arc::new(watch::Sender::new(0)), Arc::default())
}

struct Service {
    requests: Arc<watch::Sender<Vec<ExportTraceServiceRequest>>>,
    asked: Arc<watch::Sender<usize>>,
    state: Arc<Mutex<State>>,
    metadata: Arc<Mutex<MetadataMap>>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.asked.send_modify(|asked| *asked += 1);
        let mood = self.state.lock().unwrap().next();
        match mood {
            None => {}
            Some(Mood::Grpc(code)) => return Err(Status::new(code, "not now")),
            Some(_) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                unreachable!("a test does not last that long");
            }
        }
        *self.metadata.lock().unwrap() = request.metadata().clone();
        self.requests.send_modify(|all| all.push(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A span, with ids as people write them.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) span: Span,
}

impl Told {
    /// An attribute as text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }

    /// Whether it says that something failed.
    pub(super) fn failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

/// An attribute as text.
pub(super) fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let first = found.next()?;
    assert!(found.next().is_none(), "{key} is there twice");
    match first.value.clone() {
        Some(AnyValue { value: Some(value), .. }) => Some(match value {
            Value::StringValue(text) => text,
            Value::BoolValue(flag) => flag.to_string(),
            Value::IntValue(number) => number.to_string(),
            Value::DoubleValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        }),
        _ => None,
    }
}

/// The spans of exchanges.
pub(super) fn servers(spans: &[Told]) -> Vec<Told> {
    spans.iter().filter(|told| told.span.kind == 2).cloned().collect()
}

fn told(requests: &[ExportTraceServiceRequest]) -> Vec<Told> {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    let spans = resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
    spans
        .map(|span| Told {
            trace: digits(&span.trace_id),
            id: digits(&span.span_id),
            parent: digits(&span.parent_span_id),
            span: span.clone(),
        })
        .collect()
}
