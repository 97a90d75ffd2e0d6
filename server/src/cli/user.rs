//! `cordon user …`: accounts from the command line, for who has the data folder.

use crate::app::AppError;
use crate::cli::{print, serve};
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Stdin, Write};
use std::process::ExitCode;
use store::{Database, Role, Sessions, User, Users};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    Learner,
    Instructor,
    Interviewer,
    Admin,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Learner => Self::Learner,
            RoleName::Instructor => Self::Instructor,
            RoleName::Interviewer => Self::Interviewer,
            RoleName::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all accounts; guests are not among them.
    List {
        #[command(flatten)]
        server: serve::Place,
    },
    /// Make an account. The password is read from standard input, one line.
    Add {
        /// What they sign in with.
        login: String,
        /// What they may do.
        #[arg(long, value_enum, default_value = "learner")]
        role: RoleName,
        /// What the pages call them. Default: the login.
        #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
        display_name: String,
        #[command(flatten)]
        server: serve::Place,
    },
    /// Change an account's role.
    Role {
        /// Whose.
        login: String,
        /// What they may do from now on.
        #[arg(value_enum)]
        role: RoleName,
        #[command(flatten)]
        server: serve::Place,
    },
    /// Set a new password, read from standard input; the account's sessions end.
    Password {
        /// Whose.
        login: String,
        #[command(flatten)]
        server: serve::Place,
    },
    /// Lock an account: nobody can sign in to it, and its sessions end.
    Lock {
        /// Whose.
        login: String,
        #[command(flatten)]
        server: serve::Place,
    },
    /// Unlock an account.
    Unlock {
        /// Whose.
        login: String,
        #[command(flatten)]
        server: serve::Place,
    },
}

pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let (action, server) = match command {
        Command::List { server } => (Action::List, server),
        Command::Add { login, role, display_name, server } => {
            let password = read_password()?;
            (Action::Add(crate::app::Registration { login, display_name, password }, role.into()), server)
        }
        Command::Role { login, role, server } => (Action::Change(login, Some(role.into()), None), server),
        Command::Password { login, server } => (Action::Password(login, read_password()?), server),
        Command::Lock { login, server } => (Action::Change(login, None, Some(true)), server),
        Command::Unlock { login, server } => (Action::Change(login, None, Some(false)), server),
    };
    let config = server.read_config()?;
    let database = match &config.database {
        Some(address) => Database::open(address).await,
        None => {
            crate::state::files::private_folder(&config.data)?;
            Database::open_file(&config.data.join("cordon.db")).await
        }
    };
    let database = database.context("cannot open the database")?;
    let done = act(&database, action).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

enum Action {
    List,
    Add(crate::app::Registration, Role),
    Change(String, Option<Role>, Option<bool>),
    Password(String, String),
}

async fn act(database: &Database, action: Action) -> anyhow::Result<()> {
    use crate::app::accounts::AccountRules;
    let rules = AccountRules::on_this_machine();
    match action {
        Action::List => {
            for user in database.accounts().await? {
                let locked = if user.disabled { " (locked)" } else { "" };
                print(format_args!("{:<24} {:<12} {}{locked}", user.login.unwrap_or_default(), user.role.as_str(), user.display_name));
            }
        }
        Action::Add(registration, role) => {
            let user = rules.account(&registration, role).map_err(named)?;
            match database.create_user(&user).await {
                Err(store::StoreError::Exists(_)) => bail!("the login {:?} is taken", registration.login),
                other => other?,
            }
            print(format_args!("{} {} was made", user.role.as_str(), registration.login));
        }
        Action::Change(login, role, disabled) => {
            let user = find(database, &login).await?;
            let changed = User { role: role.unwrap_or(user.role), disabled: disabled.unwrap_or(user.disabled), ..user.clone() };
            let stays = changed.role == Role::Admin && !changed.disabled;
            if user.role == Role::Admin && !user.disabled && !stays && database.count_admins().await? <= 1 {
                bail!("{login} is the last administrator");
            }
            database.update_user(&changed).await?;
            if changed.disabled {
                database.delete_sessions_of(&changed.id).await?;
            }
        }
        Action::Password(login, password) => {
            let user = find(database, &login).await?;
            let password_hash = Some(rules.hash(&password).map_err(named)?);
            database.update_user(&User { password_hash, ..user.clone() }).await?;
            database.delete_sessions_of(&user.id).await?;
        }
    }
    Ok(())
}

/// With the field that is wrong: a form shows the words beside it, a line does not.
fn named(error: AppError) -> anyhow::Error {
    match error {
        AppError::Invalid { field, message } => anyhow::anyhow!("{field}: {message}"),
        error => error.into(),
    }
}

async fn find(database: &Database, login: &str) -> anyhow::Result<User> {
    database.user_by_login(login).await?.with_context(|| format!("there is no account {login:?}"))
}

fn read_password() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let quiet = input.is_terminal().then(|| Quiet::start(&input)).transpose().context("cannot hide what is typed")?;
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    drop(quiet);
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password on standard input");
    }
    Ok(password)
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn start(terminal: &'a Stdin) -> std::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        let _ = write!(std::io::stderr(), "Password (it is not shown): ");
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        let _ = writeln!(std::io::stderr());
    }
}
