//! Accounts: guests, registration, sign-in, the first admin.

use crate::app::{App, AppError};
use crate::gateway::token::{Token, TokenHash};
use crate::state::edge;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use store::{LoginLink, Role, Session, User};

/// What somebody fills in to get an account.
#[derive(Clone, Default)]
pub struct Registration {
    pub login: String,
    pub display_name: String,
    pub password: String,
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration").field("login", &self.login).finish_non_exhaustive()
    }
}

/// Somebody who is signed in from now on. The token belongs into a cookie and nowhere else.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub session: Token,
    pub expires_at: Timestamp,
}

/// Known to fit every password that we take; a check against it costs as much as any other and never succeeds.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$Y29yZG9uLW5vYm9keXM$3mJ6l5q1cUeJm0sWqk3H0Yw3mJ6l5q1cUeJm0sWqk3E";
const LINK_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST_PASSWORD: usize = 10;
const LONGEST_PASSWORD: usize = 256;

impl App {
    /// A guest, signed in. Refused where guests are off.
    pub async fn guest(&self) -> Result<SignedIn, AppError> {
        if !self.settings.guests {
            return Err(AppError::Forbidden("this server asks for an account".to_owned()));
        }
        let user = User {
            id: edge::id(&*self.random),
            login: None,
            display_name: "Guest".to_owned(),
            role: Role::Learner,
            password_hash: None,
            disabled: false,
            created_at: self.clock.now(),
        };
        self.store.create_user(&user).await?;
        self.open_session(user).await
    }

    /// Makes an account. A guest who is signed in (`current`) becomes it, with all their work.
    pub async fn register(&self, current: Option<&User>, registration: &Registration) -> Result<SignedIn, AppError> {
        if !self.settings.registration {
            return Err(AppError::Forbidden("accounts are made by an administrator here".to_owned()));
        }
        self.make_account(current, registration, Role::Learner).await
    }

    /// `peer` names where the request comes from, for the limit on guesses. A guest's work (`current`) is handed over.
    pub async fn sign_in(&self, peer: &str, current: Option<&User>, login: &str, password: &str) -> Result<SignedIn, AppError> {
        let now = self.clock.now();
        let login = login.trim().to_lowercase();
        for (throttle, key) in [(&self.by_peer, peer), (&self.by_login, login.as_str())] {
            throttle.attempt(key, now).map_err(|seconds| AppError::TooMany { seconds })?;
        }
        let user = self.store.user_by_login(&login).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone()).unwrap_or_else(|| NOBODYS_HASH.to_owned());
        let right = self.password_fits(password, hash).await?;
        let Some(user) = user.filter(|user| right && !user.disabled && user.password_hash.is_some()) else {
            return Err(AppError::invalid("password", "name or password is wrong"));
        };
        self.by_login.forget(&login);
        self.by_peer.forget(peer);
        if let Some(guest) = current.filter(|current| current.is_guest() && current.id != user.id) {
            self.store.merge_guest(&guest.id, &user.id).await?;
        }
        self.open_session(user).await
    }

    pub async fn sign_out(&self, session: &str) -> Result<(), AppError> {
        Ok(self.store.delete_session(&TokenHash::of(session).to_hex()).await?)
    }

    /// Who holds this session token; extends the session when half of its life is over.
    pub async fn session(&self, session: &str) -> Result<Option<User>, AppError> {
        let hash = TokenHash::of(session).to_hex();
        let now = self.clock.now();
        let Some(found) = self.store.session(&hash).await? else { return Ok(None) };
        if found.expires_at <= now {
            return Ok(None);
        }
        let Some(user) = self.store.user(&found.user_id).await?.filter(|user| !user.disabled) else { return Ok(None) };
        let life = i64::try_from(self.settings.session_lifetime.as_millis()).unwrap_or(i64::MAX);
        if found.expires_at.as_millisecond() - now.as_millisecond() < life / 2 {
            self.store.extend_session(&hash, self.later(self.settings.session_lifetime)).await?;
        }
        Ok(Some(user))
    }

    /// A token that proves that a form came from a page of this session; compare with [`App::csrf_fits`].
    pub fn csrf(&self, session: &str) -> String {
        hex::encode(self.keys.derive("csrf", session))
    }

    /// In constant time.
    pub fn csrf_fits(&self, session: &str, given: &str) -> bool {
        use subtle::ConstantTimeEq;
        self.csrf(session).as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// Where there is no admin yet: the secret of a fresh one-time link; links before it stop working. `None` where there is one.
    pub async fn first_admin_link(&self) -> Result<Option<Token>, AppError> {
        if self.store.count_admins().await? > 0 {
            return Ok(None);
        }
        self.store.delete_links(Role::Admin).await?;
        Ok(Some(self.make_link(Role::Admin).await?))
    }

    async fn make_link(&self, role: Role) -> Result<Token, AppError> {
        let token = Token::generate(&*self.random);
        let link =
            LoginLink { token_hash: token.hash().to_hex(), role, created_at: self.clock.now(), expires_at: self.later(LINK_LIFETIME) };
        self.store.create_link(&link).await?;
        Ok(token)
    }

    /// The role that a one-time link gives, where it still works.
    pub async fn link_role(&self, link: &str) -> Result<Option<Role>, AppError> {
        let link = self.store.link(&TokenHash::of(link).to_hex(), self.clock.now()).await?;
        Ok(link.map(|link| link.role))
    }

    /// Uses up a one-time link: an account with its role. Works once, also for two at the same time.
    pub async fn register_by_link(&self, link: &str, current: Option<&User>, registration: &Registration) -> Result<SignedIn, AppError> {
        let hash = TokenHash::of(link).to_hex();
        let gone = || AppError::Forbidden("this link was used already or has expired".to_owned());
        let Some(found) = self.store.link(&hash, self.clock.now()).await? else { return Err(gone()) };
        validate(registration)?;
        if self.store.user_by_login(registration.login.trim()).await?.is_some() {
            return Err(AppError::invalid("login", "this name is taken"));
        }
        if !self.store.use_link(&hash, self.clock.now()).await? {
            return Err(gone());
        }
        self.make_account(current, registration, found.role).await
    }

    /// For administrators and the command line: an account with a role, without a session.
    pub async fn create_user(&self, registration: &Registration, role: Role) -> Result<User, AppError> {
        Ok(self.make_account(None, registration, role).await?.user)
    }

    pub async fn change_password(&self, user: &User, old: &str, new: &str) -> Result<(), AppError> {
        self.by_login.attempt(&user.id, self.clock.now()).map_err(|seconds| AppError::TooMany { seconds })?;
        let Some(hash) = user.password_hash.clone() else {
            return Err(AppError::Conflict("a guest has no password".to_owned()));
        };
        if !self.password_fits(old, hash).await? {
            return Err(AppError::invalid("old", "this is not your present password"));
        }
        self.by_login.forget(&user.id);
        self.set_password(user, new).await
    }

    /// Ends all sessions of the user.
    pub async fn set_password(&self, user: &User, password: &str) -> Result<(), AppError> {
        check_password(password)?;
        let password_hash = Some(self.hash_password(password).await?);
        self.store.update_user(&User { password_hash, ..user.clone() }).await?;
        Ok(self.store.delete_sessions_of(&user.id).await?)
    }

    /// The last admin can neither be disabled nor lose the role.
    pub async fn change_user(&self, id: &str, role: Option<Role>, disabled: Option<bool>) -> Result<User, AppError> {
        let user = self.store.user(id).await?.ok_or(AppError::NotFound("user"))?;
        let changed = User { role: role.unwrap_or(user.role), disabled: disabled.unwrap_or(user.disabled), ..user.clone() };
        let was = user.role == Role::Admin && !user.disabled;
        let is = changed.role == Role::Admin && !changed.disabled;
        if was && !is && self.store.count_admins().await? <= 1 {
            return Err(AppError::Conflict("this is the last administrator".to_owned()));
        }
        self.store.update_user(&changed).await?;
        if changed.disabled {
            self.store.delete_sessions_of(id).await?;
        }
        Ok(changed)
    }

    /// All accounts, by login; guests are not among them.
    pub async fn users(&self) -> Result<Vec<User>, AppError> {
        Ok(self.store.accounts().await?)
    }

    pub async fn user_by_login(&self, login: &str) -> Result<Option<User>, AppError> {
        Ok(self.store.user_by_login(login).await?)
    }

    async fn make_account(&self, current: Option<&User>, registration: &Registration, role: Role) -> Result<SignedIn, AppError> {
        validate(registration)?;
        let login = registration.login.trim().to_lowercase();
        let display_name = match registration.display_name.trim() {
            "" => registration.login.trim().to_owned(),
            name => name.to_owned(),
        };
        let password_hash = Some(self.hash_password(&registration.password).await?);
        let guest = current.filter(|current| current.is_guest());
        let user = User {
            id: guest.map_or_else(|| edge::id(&*self.random), |guest| guest.id.clone()),
            login: Some(login),
            display_name,
            role,
            password_hash,
            disabled: false,
            created_at: guest.map_or_else(|| self.clock.now(), |guest| guest.created_at),
        };
        let stored = match guest {
            Some(_) => self.store.update_user(&user).await.map(drop),
            None => self.store.create_user(&user).await,
        };
        match stored {
            Err(store::StoreError::Exists(_)) => return Err(AppError::invalid("login", "this name is taken")),
            other => other?,
        }
        // The guest's session was made before there was a password: it does not outlive the change.
        self.store.delete_sessions_of(&user.id).await?;
        self.open_session(user).await
    }

    async fn open_session(&self, user: User) -> Result<SignedIn, AppError> {
        let session = Token::generate(&*self.random);
        let expires_at = self.later(self.settings.session_lifetime);
        let row = Session { token_hash: session.hash().to_hex(), user_id: user.id.clone(), created_at: self.clock.now(), expires_at };
        self.store.create_session(&row).await?;
        Ok(SignedIn { user, session, expires_at })
    }

    pub(crate) fn later(&self, by: Duration) -> Timestamp {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        self.clock.now().checked_add(by).unwrap_or(Timestamp::MAX)
    }

    async fn hash_password(&self, password: &str) -> Result<String, AppError> {
        let _place = self.hashing.acquire().await.map_err(|error| AppError::internal("hash a password", error))?;
        let password = password.to_owned();
        let salt = edge::bytes::<16>(&*self.random);
        let hashed =
            tokio::task::spawn_blocking(move || hasher().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string()));
        let hashed = hashed.await.map_err(|error| AppError::internal("hash a password", error))?;
        hashed.map_err(|error| AppError::internal("hash a password", error.to_string()))
    }

    async fn password_fits(&self, password: &str, hash: String) -> Result<bool, AppError> {
        // What nobody's password can be is checked all the same: an answer that comes early says too much.
        let password: String = password.chars().take(LONGEST_PASSWORD + 1).collect();
        let _place = self.hashing.acquire().await.map_err(|error| AppError::internal("check a password", error))?;
        let fits = tokio::task::spawn_blocking(move || {
            let verifier: &dyn PasswordVerifier<str> = &hasher();
            verifier.verify_password(password.as_bytes(), hash.as_str()).is_ok()
        });
        fits.await.map_err(|error| AppError::internal("check a password", error))
    }
}

/// The same rules for who makes accounts without a running server: the command line.
#[derive(Debug)]
pub struct AccountRules {
    clock: crate::state::SystemClock,
    random: crate::state::SystemRandom,
}

impl AccountRules {
    pub fn on_this_machine() -> Self {
        Self { clock: crate::state::SystemClock, random: crate::state::SystemRandom }
    }

    /// An account that keeps the rules, not yet stored.
    pub fn account(&self, registration: &Registration, role: Role) -> Result<User, AppError> {
        validate(registration)?;
        let login = registration.login.trim();
        let display_name = if registration.display_name.trim().is_empty() { login } else { registration.display_name.trim() };
        Ok(User {
            id: edge::id(&self.random),
            login: Some(login.to_lowercase()),
            display_name: display_name.to_owned(),
            role,
            password_hash: Some(self.hash(&registration.password)?),
            disabled: false,
            created_at: machinery::Clock::now(&self.clock),
        })
    }

    pub fn hash(&self, password: &str) -> Result<String, AppError> {
        check_password(password)?;
        let hash = hasher().hash_password_with_salt(password.as_bytes(), &edge::bytes::<16>(&self.random));
        hash.map(|hash| hash.to_string()).map_err(|error| AppError::internal("hash a password", error.to_string()))
    }
}

/// argon2id with 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet).
fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).unwrap_or(Params::DEFAULT))
}

fn validate(registration: &Registration) -> Result<(), AppError> {
    let login = registration.login.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    if login.len() < 2 || login.len() > 100 || !login.chars().all(plain) {
        return Err(AppError::invalid("login", "2 to 100 of a-z, 0-9 and . - _ @ +"));
    }
    if registration.display_name.chars().count() > 100 || registration.display_name.chars().any(char::is_control) {
        return Err(AppError::invalid("display_name", "at most 100 characters on one line"));
    }
    check_password(&registration.password)
}

fn check_password(password: &str) -> Result<(), AppError> {
    let length = password.chars().count();
    if length < SHORTEST_PASSWORD {
        return Err(AppError::invalid("password", format!("at least {SHORTEST_PASSWORD} characters")));
    }
    if length > LONGEST_PASSWORD {
        return Err(AppError::invalid("password", format!("at most {LONGEST_PASSWORD} characters")));
    }
    Ok(())
}
