//! The mail server, by way of a real client, in its three modes.

use std::sync::Arc;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use sgwarden::sim::smtp::{Mode, Receiver, ReceiverOptions};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

fn certificate() -> (Arc<ServerConfig>, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), made.cert.pem())
}

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn transport(receiver: &Receiver, tls: Tls) -> Transport {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Transport::builder_dangerous("localhost")
        .port(receiver.addr().port())
        .tls(tls)
        .credentials(Credentials::new("user".into(), "pass".into()))
        .build()
}

fn trusting(pem: &str) -> TlsParameters {
    TlsParameters::builder("localhost".into())
        .add_root_certificate(Certificate::from_pem(pem.as_bytes()).unwrap())
        .build()
        .unwrap()
}

fn message() -> Message {
    Message::builder()
        .from("audit@example.com".parse().unwrap())
        .to("secops@example.com".parse().unwrap())
        .subject("report")
        .body("first\r\n.dot at the start\r\nlast".to_owned())
        .unwrap()
}

fn login() -> ReceiverOptions {
    ReceiverOptions {
        login: Some(("user".into(), "pass".into())),
        ..ReceiverOptions::default()
    }
}

#[tokio::test]
async fn a_message_arrives_in_every_mode() {
    let (config, pem) = certificate();
    let modes = [
        (Mode::Plain, Tls::None),
        (
            Mode::StartTls(Arc::clone(&config)),
            Tls::Required(trusting(&pem)),
        ),
        (Mode::ImplicitTls(config), Tls::Wrapper(trusting(&pem))),
    ];
    for (mode, tls) in modes {
        let plain = matches!(mode, Mode::Plain);
        let receiver = Receiver::start(mode, login()).await.unwrap();
        transport(&receiver, tls).send(message()).await.unwrap();
        let got = receiver.messages();
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].from, "audit@example.com");
        assert_eq!(got[0].to, ["secops@example.com"]);
        assert_eq!(got[0].user.as_deref(), Some("user"));
        assert_eq!(got[0].tls, !plain);
        let text = String::from_utf8(got[0].data.clone()).unwrap();
        assert!(text.contains("\r\n.dot at the start\r\n"), "{text}");
        receiver.stop().await;
    }
}

#[tokio::test]
async fn it_refuses_as_told() {
    let receiver = Receiver::start(Mode::Plain, login()).await.unwrap();
    let sender = transport(&receiver, Tls::None);
    let set = |options: ReceiverOptions| receiver.set_options(options);
    set(ReceiverOptions {
        fail_first: 1,
        ..login()
    });
    assert!(sender.send(message()).await.unwrap_err().is_transient());
    sender.send(message()).await.unwrap();
    set(ReceiverOptions {
        reject: vec![("secops@example.com".into(), "550 5.1.1 no such user".into())],
        ..login()
    });
    assert!(sender.send(message()).await.unwrap_err().is_permanent());
    set(ReceiverOptions {
        login: Some(("user".into(), "other".into())),
        ..login()
    });
    let error = sender.send(message()).await.unwrap_err();
    assert_eq!(error.status().map(u16::from), Some(535));
    set(ReceiverOptions {
        max_size: 10,
        ..login()
    });
    assert!(sender.send(message()).await.unwrap_err().is_permanent());
    assert_eq!(receiver.messages().len(), 1);
    // Kept, and the client does not know.
    set(ReceiverOptions {
        drop_after_data: 1,
        ..login()
    });
    assert!(sender.send(message()).await.is_err());
    assert_eq!(receiver.messages().len(), 2);
}
