//! Parameters said twice, said elsewhere or spelled oddly: what is judged is what is done.

use serde_json::json;

use super::{NARROW, THEIRS, get, make, stranger, town};
use crate::rig::raw;

const MAPS: &str = "/api/v1/namespaces/a/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_is_judged_is_the_one_that_selects() {
    let (rig, _admin) = town(|_| {}).await;
    let door = stranger(&rig);
    const OWN: &str = "fieldSelector=metadata.name=own";
    const OTHER: &str = "fieldSelector=metadata.name=other";
    for (query, code) in [
        (OWN.to_owned(), 200),
        (format!("{OWN}&{OWN}"), 200),
        (OTHER.to_owned(), 403),
        (format!("{OWN}&{OTHER}"), 400),
        (format!("{OTHER}&{OWN}"), 400),
        (format!("{OWN}&fieldSelector="), 400),
        (format!("fieldSelector=&{OWN}"), 400),
        (format!("{OWN}&field%53elector=metadata.name=other"), 400),
        (format!("{OTHER}&field%53elector=metadata.name=own"), 400),
        (format!("{OWN},metadata.name=other"), 200),
        (format!("{OTHER},metadata.name=own"), 403),
        (format!("{OWN},metadata.name!=own"), 200),
        (format!("{OWN}%2Cmetadata.name%3Dother"), 200),
        (format!("{OWN}+"), 403),
        (format!("{OWN}%00"), 403),
        (format!("{OWN};{OTHER}"), 403),
        (format!("{OWN}%26{OTHER}"), 403),
        ("fieldselector=metadata.name=own".to_owned(), 403),
        ("fieldSelector[]=metadata.name=own".to_owned(), 403),
        ("fieldSelector=metadata.name!=other".to_owned(), 403),
        (format!("{OWN}&resourceVersion=0&resourceVersion=1"), 400),
        (format!("{OWN}&limit=1&limit=2"), 400),
        (format!("{OWN}&continue=a&continue=b"), 400),
        (format!("{OWN}&watch=false&watch=true"), 400),
        (format!("{OWN}&watch=true&watch=false"), 400),
        (format!("{OWN}&watch=true&w%61tch=0"), 400),
        (format!("{OWN}&watch=true&timeoutSeconds=1"), 200),
    ] {
        let answers = get(&door, &format!("{MAPS}?{query}"), NARROW).await;
        let text = answers.text();
        assert_eq!(answers.codes(), [code], "{query}: {text}");
        assert!(!text.contains(THEIRS), "{query}: {text}");
    }
    let body = OWN;
    let length = body.len();
    let form = format!(
        "GET {MAPS} HTTP/1.1\r\nHost: x\r\n{NARROW}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    assert_eq!(door.ask(form.as_bytes()).await.codes(), [403]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_stays_dry() {
    let (rig, admin) = town(|_| {}).await;
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let object = || json!({"metadata": {"name": "dry"}}).to_string();
    for (query, media, body, code) in [
        ("?dryRun=All", json, object(), 201),
        ("?dryRun=All&dryRun=All", json, object(), 201),
        ("?dryRun=&dryRun=All", json, object(), 400),
        ("?dryRun=All&dryRun=", json, object(), 400),
        ("?%64ryRun=Al%6c", json, object(), 201),
        ("?dryRun=All+", json, object(), 422),
        ("?dryRun=all", json, object(), 422),
        ("?dryRun=All", form, "dryRun=".to_owned(), 415),
        ("", form, "dryRun=All&metadata.name=dry".to_owned(), 415),
    ] {
        let path = format!("{MAPS}{query}");
        let (found, answer) = raw(&admin, "POST", &path, &[media], body).await;
        assert_eq!(found, code, "{query}: {answer}");
        let made = raw(&admin, "GET", &format!("{MAPS}/dry"), &[], "").await.0;
        assert_eq!(made, 404, "{query}");
    }
    make(&admin, MAPS, json!({"metadata": {"name": "dry"}})).await;
    for (query, body) in [
        ("?dryRun=All", json!({"dryRun": []})),
        ("?dryRun=All", json!({"dryRun": null})),
        ("?dryRun=All", json!({})),
        ("", json!({"dryRun": ["All"]})),
    ] {
        let path = format!("{MAPS}/dry");
        let all = format!("{path}{query}");
        let (code, answer) = raw(&admin, "DELETE", &all, &[json], body.to_string()).await;
        assert_eq!(code, 200, "{query} {body}: {answer}");
        let stays = raw(&admin, "GET", &path, &[], "").await.0;
        assert_eq!(stays, 200, "{query} {body}");
    }
    rig.stop().await;
}
