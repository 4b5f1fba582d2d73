//! The dashboard in a browser: it says what is, when it does not know, and lets go back who may.

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use serde_json::Value;

use crate::driver::Browser;
use crate::live::Launch;
use crate::profile::browser;
use crate::support::{Client, Running, Settings, post};

const OPERATOR: &str = "operator-0123456789";
const VIEWER: &str = "viewer-0123456789";

const TIERS: &str = r#"
[[tiers]]
name = "l1"
max_wait = "60s"
deadline = "90s"
watermarks = { high = 1.0, low = 0.9 }
[[tiers]]
name = "l2"
max_wait = "60s"
deadline = "90s"
watermarks = { high = 0.8, low = 0.5 }
[[routes]]
name = "one"
path = "/l1/{*rest}"
tier = "l1"
[[routes]]
name = "two"
path = "/l2/{*rest}"
tier = "l2"
"#;

/// What is shown within a time is so within twice that on a machine that is busy with other tests.
const BUSY: u32 = 2;
/// A breaker that trips is shown within this.
const SHOWN: Duration = Duration::from_secs(2);
/// Silence is said within this.
const SAID: Duration = Duration::from_secs(3);

const LIVE: &str = "document.querySelector('#pulse').dataset.state === 'live'";
const STALE: &str = "!document.querySelector('#stale').hidden";

fn address(gateway: &Running) -> String {
    format!("http://{}/", gateway.address())
}

/// A gateway of ten places, for one request at a time.
fn small(origin: std::net::SocketAddr) -> Running {
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10").rest(TIERS);
    Running::start(&settings.text(&[origin]))
}

#[tokio::test]
async fn it_loads_without_a_complaint_and_its_values_move_in_a_storm() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let mut page = Browser::start(&program);
    page.open(&address(&gateway));
    page.until(LIVE);
    assert_eq!(page.text("#verdict p"), "Quiet: nobody is asking.");

    let mut client = gateway.client().await;
    let begin = Instant::now();
    while page.evaluate("document.querySelector('#tiles dd').firstChild.data") == "0" {
        for path in ["/l1/a", "/l2/b", "/nowhere"] {
            client.get(path).await;
            client.answer().await;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing is shown to come");
    }
    page.until("document.querySelector('#reasons code')?.textContent === 'no_route'");
    page.until("/[1-9]/.test(document.querySelector('#verdict p + p').textContent)");
    // It is drawn, not only written.
    page.until(
        "[...document.querySelectorAll('.chart canvas')].some((it) => it.getContext('2d')
            .getImageData(0, 0, it.width, it.height).data.some((byte) => byte > 0))",
    );
    assert_eq!(page.complaints(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_breaker_that_trips_is_shown_and_said() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let mut page = Browser::start(&program);
    page.open(&address(&gateway));
    page.until(LIVE);
    assert_eq!(page.text(".tank:nth-child(2) .switch b"), "closed");

    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    let took = page.until("document.querySelector('.tank:nth-child(2)').dataset.open === '1'");
    assert!(took < SHOWN * BUSY, "{took:?}");
    // Not by its colour alone, and for who does not look.
    assert_eq!(page.text(".tank:nth-child(2) .switch b"), "OPEN");
    assert_eq!(page.text(".tank:nth-child(1) .switch b"), "closed");
    assert!(page.text("#say").contains("l2 breaker of checkout is open"));
    // Who comes back to the page from elsewhere sees it in the tab, once the page is drawn.
    page.until("document.title === '▲ l2 open · Floodgate'");
    page.until("document.querySelector('#verdict p').textContent === 'Shedding l2. l1 is let in.'");
    assert_eq!(page.text(".tank:nth-child(2) .big"), "80%");

    drop(waiters);
    page.until("document.querySelector('.tank:nth-child(2)').dataset.open === '0'");
    assert_eq!(page.complaints(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_page_that_hears_nothing_says_so_and_goes_on_by_itself() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("").rest(TIERS);
    let gateway = Launch::new(&settings.text(&[origin.addr()])).start();
    let mut page = Browser::start(&program);
    page.open(&format!("http://{}/", gateway.address()));
    page.until(LIVE);

    gateway.signal("STOP");
    let took = page.until(STALE);
    assert!(took < SAID * BUSY, "{took:?}");
    assert_eq!(page.evaluate("document.querySelector('#stale').getAttribute('role')"), "alert");
    assert!(page.text("#stale b").starts_with("Stale"));
    assert_eq!(page.evaluate("document.title"), "STALE · Floodgate");
    gateway.signal("CONT");
    page.until(LIVE);
    assert_eq!(page.evaluate(STALE), false);

    drop(gateway);
    page.until(&format!(
        "{STALE} && document.querySelector('#stale').textContent.includes('cannot be reached')"
    ));
}

#[tokio::test]
async fn who_may_change_rolls_back_and_who_may_look_does_not() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let text = |limit: u32| {
        let upstream = format!("max_in_flight = {limit}");
        Settings::upstream(&upstream).rest(TIERS).text(&[origin.addr()])
    };
    let launch = Launch::new(&text(2));
    let launch =
        launch.env("FLOODGATE_ADMIN_TOKEN", OPERATOR).env("FLOODGATE_VIEWER_TOKEN", VIEWER);
    let mut gateway = launch.start();
    gateway.token = Some(OPERATOR);
    gateway.change(&text(3)).await;

    let mut page = Browser::start(&program);
    page.open(&format!("http://{}/", gateway.address()));
    let give = |page: &mut Browser, token: &str| {
        page.until("document.querySelector('#token').open");
        page.evaluate("document.querySelector('#token-in').focus()");
        page.insert(token);
        page.click("#token [value=yes]");
    };
    give(&mut page, "wrong-0123456789");
    page.until("document.querySelector('#token-why').textContent.includes('not one of')");
    assert_eq!(page.evaluate("document.querySelectorAll('.tank').length"), 0);
    give(&mut page, VIEWER);
    page.until(LIVE);
    page.until("document.querySelectorAll('#history > li').length === 2");

    // The button asks for more, and the gateway does not go by the button.
    page.click("#history button");
    page.until("document.querySelector('#token').open");
    assert_eq!(page.evaluate("document.querySelector('#back').open"), false);
    let forbidden = page.evaluate(&format!(
        "fetch('/api/config/rollback', {{ method: 'POST', headers: {{ authorization: 'Bearer {VIEWER}' }} }})
            .then((it) => it.status)"
    ));
    assert_eq!((forbidden, gateway.generation().await), (403.into(), 2));

    give(&mut page, OPERATOR);
    page.until("document.querySelector('#process').textContent.includes('an operator')");
    page.click("#history button");
    page.until("document.querySelector('#back').open");
    assert!(page.text("#back-what").contains("upstreams.checkout.max_in_flight: 2 -> 3"));
    assert_eq!(gateway.generation().await, 2, "nothing happens before it is confirmed");
    page.click("#back-do");
    page.until("document.querySelector('#back-result').textContent === 'Live as generation 3.'");
    page.until("document.querySelector('#live .gen').textContent === 'Generation 3'");
    let live = gateway.ask("GET", "/api/status", "").await.json();
    assert_eq!(live["upstreams"]["checkout"]["limit"], 2);
    for leak in ["location.href", "document.documentElement.outerHTML"] {
        let seen = page.evaluate(leak);
        assert!(!seen.as_str().unwrap().contains(OPERATOR), "{leak}");
    }
}

#[tokio::test]
async fn it_fits_a_phone_and_is_used_by_keyboard() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let mut page = Browser::start(&program);
    for (width, scheme) in [(390, "dark"), (390, "light"), (1440, "dark"), (1440, "light")] {
        page.look(width, 844, scheme);
        page.open(&address(&gateway));
        page.until(LIVE);
        let fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{width} {scheme}");
        let dark = page.evaluate("getComputedStyle(document.body).backgroundColor");
        let is_dark = dark.as_str().unwrap().starts_with("rgb(1");
        assert_eq!(is_dark, scheme == "dark", "{dark}");
    }
    let focus = "document.activeElement.id || document.activeElement.className";
    page.press("Tab");
    assert_eq!(page.evaluate(focus), "skip");
    page.press("3");
    page.press("5");
    assert_eq!(page.evaluate(focus), "traffic");
    page.press("t");
    assert_eq!(page.evaluate("document.documentElement.dataset.theme"), "dark");
    page.evaluate("document.querySelector('.chart canvas').focus()");
    page.press("ArrowLeft");
    assert!(page.text(".chart output").contains("offered"), "{}", page.text(".chart output"));
    page.press("Escape");
    assert_eq!(page.text(".chart output"), "");
    page.press("?");
    assert_eq!(page.evaluate("document.querySelector('#help').open"), true);
    page.press("Escape");
    assert_eq!(page.evaluate("document.querySelector('#help').open"), false);
    assert_eq!(page.complaints(), Vec::<Value>::new());
}

/// How it looks in a storm: `cargo test -p floodgate-gateway --test browser -- --ignored`, then look into
/// `target/dashboard`. And how long it takes until something is to be seen.
#[tokio::test]
#[ignore = "for people to look at"]
#[expect(clippy::disallowed_methods, reason = "some seconds are to be seen in the pictures")]
async fn pictures() {
    let Some(program) = browser() else { return };
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    let mut client = Client::connect(gateway.listen).await;
    for _ in 0..2_000 {
        client.send(post("/l2", b"")).await;
        client.answer().await;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/dashboard");
    std::fs::create_dir_all(folder).unwrap();
    let mut page = Browser::start(&program);
    for (name, width, height) in [("phone", 390, 844), ("desktop", 1440, 900)] {
        for scheme in ["dark", "light"] {
            page.look(width, height, scheme);
            page.open(&address(&gateway));
            page.until(LIVE);
            std::thread::sleep(Duration::from_secs(2));
            let paint = page
                .evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime");
            eprintln!("{name} {scheme}: first paint after {paint} ms");
            let picture = page.picture();
            let file = format!("{folder}/{name}-{scheme}.png");
            let mut base64 = std::process::Command::new("sh")
                .args(["-c", "base64 -d > \"$0\"", &file])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut base64.stdin.take().unwrap(), picture.as_bytes())
                .unwrap();
            assert!(base64.wait().unwrap().success());
        }
    }
}
