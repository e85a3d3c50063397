//! In and out: the login, the logout, and an invitation that makes an account.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::access::{self, Accepted};
use crate::frame::{Section, Visit};
use crate::language::Language;
use crate::site::{self, Content, Failed, Form, Result, Site};

type Here = State<Arc<Site>>;
type By = Extension<Arc<Visit>>;
type Sent = Extension<Arc<Form>>;

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    t: Language,
    form: &'a str,
    next: &'a str,
    name: &'a str,
    told: Option<String>,
}

fn login_page(visit: &Visit, next: &str, name: &str, told: Option<String>) -> Result<Content> {
    let html = Login { t: visit.t, form: &visit.form, next, name, told }.render()?;
    Ok(Content { title: visit.t.log_in().to_owned(), html })
}

/// The form.
pub async fn login(State(site): Here, Extension(visit): By) -> Response {
    if !visit.user.is_empty() {
        return Redirect::to("/").into_response();
    }
    site.page(&visit, Section::Outside, |_, visit| {
        login_page(visit, local(visit.asked("next").unwrap_or_default()), "", None)
    })
    .await
}

/// Only an address of this site: a link may not send people elsewhere after the login.
fn local(next: &str) -> &str {
    let is_local = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\n', '\r', '\t']);
    if is_local { next } else { "" }
}

/// Takes name and password.
pub async fn log_in(State(site): Here, Extension(visit): By, Extension(form): Sent) -> Response {
    let name = form.get("name").to_owned();
    let next = local(form.get("next")).to_owned();
    if let Err(seconds) = site.throttle.begin(&name, site.engine.clock.now_us()) {
        let told = visit.t.wait_before_login(seconds);
        return again(&site, &visit, StatusCode::TOO_MANY_REQUESTS, next, name, told).await;
    }
    // Never closed while the site lives.
    let Ok(_seat) = site.hashing.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let (engine, known, password) = (site.engine.clone(), name.clone(), form.get("password").to_owned());
    let before = visit.token.clone();
    let opened = site::on_thread(move || access::log_in(&engine, &known, &password, Some(&before))).await;
    match opened {
        Ok(Some((token, account))) => {
            site.throttle.succeeded(&name);
            tracing::info!(account, "logged in to the console");
            let to = if next.is_empty() { "/" } else { &next };
            let mut response = Redirect::to(to).into_response();
            let cookie = site.cookie("session", &token, access::SESSION_US);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Ok(None) => {
            tracing::warn!("a login to the console was refused");
            let told = visit.t.wrong_login().to_owned();
            again(&site, &visit, StatusCode::FORBIDDEN, next, name, told).await
        }
        Err(error) => site.no(&visit, &Failed::from(error)).await,
    }
}

async fn again(
    site: &Arc<Site>,
    visit: &Arc<Visit>,
    status: StatusCode,
    next: String,
    name: String,
    told: String,
) -> Response {
    let page = site.page(visit, Section::Outside, move |_, visit| login_page(visit, &next, &name, Some(told)));
    let mut response = page.await;
    *response.status_mut() = status;
    response
}

/// Ends the session.
pub async fn log_out(State(site): Here, Extension(visit): By) -> Response {
    let (engine, token) = (site.engine.clone(), visit.token.clone());
    if let Err(error) = site::on_thread(move || access::log_out(&engine, &token)).await {
        return site.no(&visit, &Failed::from(error)).await;
    }
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().append(header::SET_COOKIE, site.cookie("session", "", 0));
    response
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct Invitation<'a> {
    t: Language,
    form: &'a str,
    account: Option<&'a str>,
    name: &'a str,
    told: Option<String>,
    password_min: usize,
    password_max: usize,
    name_max: usize,
}

fn invitation_page(visit: &Visit, account: Option<&str>, name: &str, told: Option<String>) -> Result<Content> {
    let title = if account.is_some() { visit.t.new_password() } else { visit.t.new_account() };
    let html = Invitation {
        t: visit.t,
        form: &visit.form,
        account,
        name,
        told,
        password_min: access::PASSWORD_MIN,
        password_max: access::PASSWORD_MAX,
        name_max: access::NAME_MAX,
    };
    Ok(Content { title: title.to_owned(), html: html.render()? })
}

fn account_of(site: &Site, token: &str) -> Result<Option<String>> {
    let (hash, now_us) = (access::hash(token), site.engine.clock.now_us());
    let known = site.engine.store.read(|tx| huiliu_core::store::accounts::invitation(tx, &hash, now_us))?;
    known.ok_or(Failed::Missing)
}

/// The form of an invitation.
pub async fn invitation(State(site): Here, Extension(visit): By, Path(token): Path<String>) -> Response {
    let over = visit.t.invitation_over().to_owned();
    let page = site.page(&visit, Section::Outside, move |site, visit| {
        let account = account_of(site, &token)?;
        invitation_page(visit, account.as_deref(), "", None)
    });
    let response = page.await;
    if response.status() == StatusCode::NOT_FOUND {
        return site.no(&visit, &Failed::Refused(over)).await;
    }
    response
}

/// Makes the account, or sets the new password; then one logs in with it.
pub async fn accept(
    State(site): Here,
    Extension(visit): By,
    Path(token): Path<String>,
    Extension(form): Sent,
) -> Response {
    let Ok(_seat) = site.hashing.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let (name, password) = (form.get("name").to_owned(), form.get("password").to_owned());
    let is_twice = password == form.get("again");
    let (engine, used, wanted) = (site.engine.clone(), token.clone(), name.clone());
    let done =
        site::on_thread(
            move || {
                if is_twice { access::accept(&engine, &used, &wanted, &password).map(Some) } else { Ok(None) }
            },
        );
    let told = match done.await {
        Ok(Some(Accepted::Done(account))) => {
            site.throttle.succeeded(&account);
            return Redirect::to("/login?said=welcome").into_response();
        }
        Ok(Some(Accepted::Over)) => {
            return site.no(&visit, &Failed::Refused(visit.t.invitation_over().to_owned())).await;
        }
        Ok(Some(Accepted::NoName)) => visit.t.no_name(access::NAME_MAX),
        Ok(Some(Accepted::Taken)) => visit.t.taken_name().to_owned(),
        Ok(Some(Accepted::NoPassword)) => visit.t.no_password(access::PASSWORD_MIN, access::PASSWORD_MAX),
        Ok(None) => visit.t.not_twice().to_owned(),
        Err(error) => return site.no(&visit, &Failed::from(error)).await,
    };
    let page = site.page(&visit, Section::Outside, move |site, visit| {
        let account = account_of(site, &token)?;
        invitation_page(visit, account.as_deref(), &name, Some(told))
    });
    let mut response = page.await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    response
}
