//! The DHCP engine: packets as firmware and systems send them, and replies judged
//! by a reader that somebody else wrote.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder};
use model::machine::BootRoad;
use model::sighting::Sighting;
use model::{Duration, Timestamp};
use netboot::dhcp::packet::Packet;
use netboot::dhcp::{Engine, Reply, Settings, Subnet};
use proptest::prelude::*;

use crate::fixture::{Book, TOKEN, permit};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const MAC: [u8; 6] = [0x52, 0x54, 0, 0xbe, 0xd0, 1];
const MAC_TEXT: &str = "52:54:00:be:d0:01";
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn subnet(last: u8) -> Subnet {
    Subnet {
        prefix: 24,
        first: Ipv4Addr::new(10, 77, 0, 100),
        last: Ipv4Addr::new(10, 77, 0, last),
        router: Some(SERVER),
        dns: vec![SERVER, OTHER],
    }
}

fn settings(last: u8) -> Settings {
    Settings::one(SERVER, subnet(last), "http://10.77.0.1:8080")
}

fn engine(last: u8) -> Engine {
    Engine::new(settings(last)).unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_micros(secs * 1_000_000)
}

/// A client's message, byte by byte.
#[derive(Clone)]
struct Ask {
    kind: u8,
    mac: [u8; 6],
    flags: u16,
    ciaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    options: Vec<(u8, Vec<u8>)>,
}

impl Ask {
    fn new(kind: u8, mac: [u8; 6]) -> Self {
        Self { kind, mac, flags: 0, ciaddr: NONE, giaddr: NONE, options: vec![] }
    }
    fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }
    fn wants(self, address: Ipv4Addr) -> Self {
        self.with(50, &address.octets())
    }
    fn for_us(self) -> Self {
        self.with(54, &SERVER.octets())
    }
    /// As OVMF asks by HTTP: class, architecture 16, interface and machine's UUID.
    fn http(self) -> Self {
        self.with(57, &[5, 192])
            .with(55, &[1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43])
            .with(97, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
            .with(94, &[1, 3, 16])
            .with(93, &[0, 16])
            .with(60, b"HTTPClient:Arch:00016:UNDI:003016")
    }
    /// As OVMF asks by PXE.
    fn pxe(self) -> Self {
        self.with(57, &[5, 192]).with(93, &[0, 7]).with(60, b"PXEClient:Arch:00007:UNDI:003016")
    }
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 4];
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, NONE, NONE, self.giaddr] {
            bytes.extend(address.octets());
        }
        bytes.extend(self.mac);
        bytes.resize(236, 0);
        bytes.extend([99, 130, 83, 99, 53, 1, self.kind]);
        for (code, value) in &self.options {
            bytes.extend([*code, u8::try_from(value.len()).unwrap()]);
            bytes.extend(value);
        }
        bytes.push(255);
        bytes
    }
}

fn discover() -> Ask {
    Ask::new(1, MAC)
}
fn request() -> Ask {
    Ask::new(3, MAC)
}

fn read(reply: &Reply) -> Message {
    Message::decode(&mut Decoder::new(&reply.bytes)).expect("a message")
}

fn kind(message: &Message) -> MessageType {
    message.opts().msg_type().expect("a kind")
}

/// What the class and the boot file of a reply are.
fn boot_of(message: &Message) -> (Option<String>, Option<String>) {
    let text = |code| match message.opts().get(code) {
        Some(DhcpOption::ClassIdentifier(bytes) | DhcpOption::BootfileName(bytes)) => {
            Some(String::from_utf8(bytes.clone()).unwrap())
        }
        _ => None,
    };
    (text(OptionCode::ClassIdentifier), text(OptionCode::BootfileName))
}

#[test]
fn firmware_that_boots_by_http_is_told_the_url() {
    let (mut engine, book) = (engine(110), Book::with(MAC_TEXT, BootRoad::Http));
    let offer = engine.handle(at(0), &discover().http().bytes(), &*book).unwrap();
    assert_eq!(offer.to.to_string(), "255.255.255.255:68");
    assert!(offer.bytes.len() >= 300);
    let message = read(&offer);
    assert_eq!((kind(&message), message.xid()), (MessageType::Offer, 0xdead_beef));
    let url = format!("http://10.77.0.1:8080/boot/{TOKEN}/bedplate.efi");
    assert_eq!(boot_of(&message), (Some("HTTPClient".to_owned()), Some(url.clone())));
    let address = message.yiaddr();
    let chosen = request().http().wants(address).for_us();
    let ack = read(&engine.handle(at(1), &chosen.bytes(), &*book).unwrap());
    assert_eq!((kind(&ack), ack.yiaddr()), (MessageType::Ack, address));
    assert_eq!(boot_of(&ack).1, Some(url));
    for option in [
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 255, 0)),
        DhcpOption::BroadcastAddr(Ipv4Addr::new(10, 77, 0, 255)),
        DhcpOption::Router(vec![SERVER]),
        DhcpOption::DomainNameServer(vec![SERVER, OTHER]),
        DhcpOption::ServerIdentifier(SERVER),
        DhcpOption::AddressLeaseTime(1_800),
        DhcpOption::Renewal(900),
        DhcpOption::Rebinding(1_575),
    ] {
        assert_eq!(ack.opts().get(OptionCode::from(&option)), Some(&option));
    }
    let client = "HTTPClient:Arch:00016:UNDI:003016".to_owned();
    let sighting = Sighting::Dhcp { mac: MAC_TEXT.to_owned(), arch: Some(16), client };
    assert_eq!(book.seen(), [sighting.clone(), sighting]);
}

#[test]
fn pxe_is_told_a_file_only_on_its_road() {
    for (road, arch, told) in [
        (BootRoad::Pxe, 7, true),
        (BootRoad::Pxe, 9, true),
        (BootRoad::Pxe, 0, false),
        (BootRoad::Http, 7, false),
        (BootRoad::Media, 7, false),
    ] {
        let (mut engine, book) = (engine(110), Book::with(MAC_TEXT, road));
        let mut ask = discover().pxe();
        ask.options[1].1 = vec![0, arch];
        let message = read(&engine.handle(at(0), &ask.bytes(), &*book).unwrap());
        // Otherwise a file that is never there: firmware leaves sooner than without one.
        let token = if told { TOKEN } else { "none" };
        let file = format!("boot/{token}/bedplate.efi");
        assert_eq!(boot_of(&message), (None, Some(file.clone())), "{road:?} {arch}");
        assert_eq!(message.fname(), Some([file.as_bytes(), b"\0"].concat().as_slice()));
        assert_eq!(message.siaddr(), SERVER);
    }
}

#[test]
fn strangers_are_seen_and_answered_only_where_it_was_said() {
    let book = Arc::new(Book::default());
    assert_eq!(engine(110).handle(at(0), &discover().http().bytes(), &*book), None);
    assert_eq!(book.seen().len(), 1);
    let open = Settings { answer_unknown: true, ..settings(110) };
    let reply = Engine::new(open).unwrap().handle(at(0), &discover().http().bytes(), &*book);
    let message = read(&reply.unwrap());
    let url = "http://10.77.0.1:8080/boot/none/bedplate.efi".to_owned();
    assert_eq!(boot_of(&message).1, Some(url), "an address, but no image");
    let plain = read(
        &engine(110)
            .handle(at(0), &discover().bytes(), &*Book::with(MAC_TEXT, BootRoad::Pxe))
            .unwrap(),
    );
    assert_eq!(boot_of(&plain), (None, None), "a system is told of no image");
    // A machine of ours between two boots: its system needs an address.
    book.known.lock().unwrap().push(MAC_TEXT.to_owned());
    assert!(engine(110).handle(at(0), &discover().bytes(), &*book).is_some());
}

#[test]
fn a_lease_is_renewed_released_and_refused_as_the_rfc_says() {
    let (mut engine, book) = (engine(100), Book::with(MAC_TEXT, BootRoad::Http));
    let address = Ipv4Addr::new(10, 77, 0, 100);
    let kind_of = |reply: Option<Reply>| reply.as_ref().map(read).as_ref().map(kind);
    let mut say = |secs, ask: &Ask| engine.handle(at(secs), &ask.bytes(), &*book);
    assert_eq!(kind_of(say(0, &discover())), Some(MessageType::Offer));
    let other = request().wants(address).with(54, &OTHER.octets());
    assert_eq!(say(1, &other), None, "it chose another server");
    assert_eq!(kind_of(say(2, &request().wants(address).for_us())), Some(MessageType::Ack));
    let renew = Ask { ciaddr: address, ..request() };
    let reply = say(900, &renew).unwrap();
    assert_eq!(reply.to.to_string(), "10.77.0.100:68", "where it can be reached directly");
    assert_eq!(kind(&read(&reply)), MessageType::Ack);
    let inform = Ask { ciaddr: address, ..Ask::new(8, MAC) };
    let informed = read(&say(901, &inform).unwrap());
    assert_eq!((kind(&informed), informed.yiaddr()), (MessageType::Ack, NONE));
    assert_eq!(informed.opts().get(OptionCode::AddressLeaseTime), None);
    let foreign = request().wants(Ipv4Addr::new(192, 168, 1, 5));
    let reply = say(902, &foreign).unwrap();
    assert_eq!(
        (kind(&read(&reply)), reply.to.to_string().as_str()),
        (MessageType::Nak, "255.255.255.255:68")
    );

    let second = Ask::new(1, [0x52, 0x54, 0, 0, 0, 2]);
    book.known.lock().unwrap().push("52:54:00:00:00:02".to_owned());
    assert_eq!(say(903, &second), None, "the only address is held");
    let release = Ask { ciaddr: address, ..Ask::new(7, MAC) }.for_us();
    assert_eq!(say(904, &release), None);
    assert_eq!(kind_of(say(905, &second)), Some(MessageType::Offer));
    assert_eq!(kind_of(say(906, &renew)), Some(MessageType::Nak), "another one has it now");
}

#[test]
fn an_address_that_is_declined_is_left_alone() {
    let (mut engine, book) = (engine(101), Book::with(MAC_TEXT, BootRoad::Http));
    let offered = |reply: Option<Reply>| reply.as_ref().map(read).map(|message| message.yiaddr());
    let mut say = |secs, ask: &Ask| engine.handle(at(secs), &ask.bytes(), &*book);
    let first = offered(say(0, &discover())).unwrap();
    say(1, &request().wants(first).for_us()).unwrap();
    say(2, &Ask::new(4, MAC).wants(first).for_us());
    let second = offered(say(3, &discover())).unwrap();
    assert_ne!(first, second);
    say(4, &request().wants(second).for_us()).unwrap();
    say(5, &Ask::new(4, MAC).wants(second).for_us());
    let third = offered(say(6, &discover())).unwrap();
    assert_eq!(third, second, "a liar cannot talk all addresses away");
}

#[test]
fn a_machine_is_offered_what_it_had_before_we_were_started_anew() {
    let book = Book::with(MAC_TEXT, BootRoad::Http);
    let ask =
        |engine: &mut Engine, ask: Ask| read(&engine.handle(at(0), &ask.bytes(), &*book).unwrap());
    let first = ask(&mut engine(200), discover()).yiaddr();
    assert_eq!(ask(&mut engine(200), discover()).yiaddr(), first);
    let renewed = ask(&mut engine(200), Ask { ciaddr: first, ..request() });
    assert_eq!(kind(&renewed), MessageType::Ack, "its lease goes on");
}

#[test]
fn a_relay_is_answered_in_its_own_subnet() {
    let book = Book::with(MAC_TEXT, BootRoad::Http);
    let mut wide = settings(110);
    wide.subnets.push(Subnet {
        prefix: 22,
        first: Ipv4Addr::new(10, 88, 0, 10),
        last: Ipv4Addr::new(10, 88, 3, 200),
        router: Some(Ipv4Addr::new(10, 88, 0, 1)),
        dns: vec![],
    });
    let mut engine = Engine::new(wide).unwrap();
    let giaddr = Ipv4Addr::new(10, 88, 0, 1);
    let ask = Ask { giaddr, ..discover() }.with(82, b"\x01\x04port\x63\x02\x01\x02");
    let reply = engine.handle(at(0), &ask.bytes(), &*book).unwrap();
    assert_eq!(reply.to.to_string(), "10.88.0.1:67");
    let echo = b"\x52\x0a\x01\x04port\x63\x02\x01\x02\xff";
    let end = reply.bytes.windows(echo.len()).any(|window| window == echo);
    assert!(end, "the relay's option is said back as it came, and last");
    let message = read(&reply);
    assert_eq!(message.yiaddr().octets()[..2], [10, 88]);
    assert_eq!(
        message.opts().get(OptionCode::SubnetMask),
        Some(&DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 252, 0)))
    );
    let nowhere = Ask { giaddr: Ipv4Addr::new(10, 99, 0, 1), ..discover() };
    assert_eq!(engine.handle(at(0), &nowhere.bytes(), &*book), None);
}

#[test]
fn one_client_cannot_flood_the_others_out() {
    let (mut engine, book) = (engine(110), Book::with(MAC_TEXT, BootRoad::Http));
    let bytes = discover().bytes();
    let answered = (0..1_000).filter(|_| engine.handle(at(100), &bytes, &*book).is_some()).count();
    assert_eq!(answered, 16);
    assert_eq!(book.seen().len(), 16, "the directory is not flooded either");
    book.known.lock().unwrap().push("52:54:00:00:00:02".to_owned());
    let other = Ask::new(1, [0x52, 0x54, 0, 0, 0, 2]).bytes();
    assert!(engine.handle(at(100), &other, &*book).is_some());
    assert!(
        engine.handle(at(102), &bytes, &*book).is_some(),
        "after two seconds it is heard again"
    );
}

#[test]
fn odd_settings_are_refused() {
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut changed = settings(110);
        change(&mut changed);
        Engine::new(changed).err().map(|error| error.to_string())
    };
    assert_eq!(with(&|_| {}), None);
    let bad: [&dyn Fn(&mut Settings); 7] = [
        &|s| s.subnets.clear(),
        &|s| s.lease = Duration::from_secs(1),
        &|s| s.boot_url = "ftp://10.77.0.1".into(),
        &|s| s.boot_url = "http://10.77.0.1/".into(),
        &|s| s.subnets[0].last = Ipv4Addr::new(10, 77, 1, 5),
        &|s| s.subnets[0].first = Ipv4Addr::new(10, 77, 0, 1),
        &|s| s.subnets[0].prefix = 33,
    ];
    for (index, change) in bad.iter().enumerate() {
        assert!(with(change).is_some(), "case {index}");
    }
}

#[test]
fn options_in_the_name_fields_and_in_pieces_are_read() {
    let mut bytes = discover().with(52, &[1]).with(60, b"HTTP").with(60, b"Client").bytes();
    bytes[108..115].copy_from_slice(&[50, 4, 10, 77, 0, 105, 255]);
    let packet = Packet::read(&bytes).unwrap();
    assert_eq!(packet.wanted, Some(Ipv4Addr::new(10, 77, 0, 105)));
    assert_eq!(packet.class, b"HTTPClient");
    assert_eq!(Packet::read(&bytes[..250]), None, "torn");
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let option = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..255));
    let options = proptest::collection::vec(option, 0..6);
    (any::<[u8; 6]>(), 0u8..9, options, 0usize..900, any::<[u8; 4]>()).prop_map(
        |(mut mac, kind, options, cut, address)| {
            mac[0] &= 0xfe;
            let ask = Ask {
                options,
                ciaddr: address.into(),
                giaddr: address.into(),
                ..Ask::new(kind, mac)
            };
            let mut bytes = ask.bytes();
            bytes.truncate(240 + cut);
            bytes
        },
    )
}

/// What a client does next, and how many seconds later.
type Move = (u8, u8, u8, i64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_packet_breaks_the_engine(bytes in hostile(), raw in proptest::collection::vec(any::<u8>(), 0..700)) {
        let book = Book::default();
        let open = Settings { answer_unknown: true, ..settings(110) };
        let mut engine = Engine::new(open).unwrap();
        for packet in [bytes, raw] {
            if let Some(reply) = engine.handle(at(0), &packet, &book) {
                prop_assert!(Message::decode(&mut Decoder::new(&reply.bytes)).is_ok());
            }
        }
    }

    #[test]
    fn an_address_is_never_held_by_two(moves in proptest::collection::vec(
        (0u8..5, 0u8..8, 100u8..106, 0i64..700), 1..80,
    ) ) {
        let book = Book::default();
        let open = Settings { answer_unknown: true, ..settings(104) };
        check_moves(Engine::new(open).unwrap(), &book, &moves)?;
    }
}

/// Plays moves of several clients, and keeps an account of its own of who was told
/// to have which address until when.
fn check_moves(mut engine: Engine, book: &Book, moves: &[Move]) -> Result<(), TestCaseError> {
    let mut held: BTreeMap<Ipv4Addr, ([u8; 6], Timestamp)> = BTreeMap::new();
    let mut secs = 0;
    for (what, who, place, later) in moves {
        secs += later;
        let (mac, now) = ([0x52, 0, 0, 0, 0, *who], at(secs));
        let address = Ipv4Addr::new(10, 77, 0, *place);
        let ask = match what {
            0 => Ask::new(1, mac).wants(address),
            1 => Ask::new(3, mac).wants(address).for_us(),
            2 => Ask { ciaddr: address, ..Ask::new(3, mac) },
            3 => Ask { ciaddr: address, ..Ask::new(7, mac) }.for_us(),
            _ => Ask::new(4, mac).wants(address).for_us(),
        };
        let own = held.get(&address).is_some_and(|(by, _)| *by == mac);
        if *what >= 3 && own {
            held.remove(&address);
        }
        let Some(reply) = engine.handle(now, &ask.bytes(), book) else { continue };
        let message = read(&reply);
        if kind(&message) == MessageType::Nak {
            continue;
        }
        let given = message.yiaddr();
        if let Some((by, until)) = held.get(&given) {
            prop_assert!(*by == mac || *until <= now, "{given} is held until {until}");
        }
        if kind(&message) == MessageType::Ack {
            // Taking one address gives up the one from before.
            held.retain(|_, (by, _)| *by != mac);
            held.insert(given, (mac, now + Duration::from_secs(1_800)));
        }
    }
    Ok(())
}

#[test]
fn a_permit_names_its_machine() {
    assert_eq!(permit(BootRoad::Pxe).token, TOKEN);
}
