//! Accounts from a CSV file: `user,password` and, if it is another one, the name for digest; a heading may stand above.

use crate::plan::Account;

/// How large a file of accounts may be: about two million accounts.
pub const ACCOUNTS_BYTES_MAX: usize = 64 << 20;
/// How many mistakes of a file are told.
const TOLD_MAX: usize = 5;

/// Reads accounts. Cells may stand in quotes (RFC 4180); empty lines are passed over.
///
/// # Errors
///
/// What is wrong, each with its line, without what stands in the line: it may be a password.
pub fn read_accounts(text: &[u8]) -> Result<Vec<Account>, Vec<String>> {
    // Spreadsheets write this mark in front of UTF-8.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text);
    let (mut accounts, mut wrong) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeMap::new();
    let mut is_first = true;
    for record in reader.records() {
        if wrong.len() >= TOLD_MAX {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                let line = why.position().map_or(0, csv::Position::line);
                wrong.push(match why.kind() {
                    csv::ErrorKind::Utf8 { .. } => format!("line {line} is not valid UTF-8"),
                    _ => format!("line {line} cannot be read as CSV"),
                });
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let is_heading = std::mem::take(&mut is_first)
            && record
                .get(0)
                .is_some_and(|first| matches!(first.to_ascii_lowercase().as_str(), "user" | "username"));
        if is_heading {
            continue;
        }
        match account(&record) {
            Ok(account) => {
                if let Some(other) = seen.insert(account.user.clone(), line) {
                    wrong.push(format!("line {line} has the user of line {other}"));
                }
                accounts.push(account);
            }
            Err(why) => wrong.push(format!("line {line}: {why}")),
        }
    }
    if accounts.is_empty() && wrong.is_empty() {
        wrong.push("there is no account in it".to_owned());
    }
    if wrong.is_empty() { Ok(accounts) } else { Err(wrong) }
}

fn account(record: &csv::StringRecord) -> Result<Account, String> {
    if record.len() > 3 {
        return Err(format!("{} cells; user, password and name for digest are three", record.len()));
    }
    let user = record.get(0).unwrap_or_default();
    super::phones::user_can_be(user).map_err(|why| format!("the user: {why}"))?;
    let cell = |index: usize| record.get(index).filter(|text| !text.is_empty()).map(str::to_owned);
    if record.iter().any(|text| text.len() > 256) {
        return Err("a cell is longer than 256 octets".to_owned());
    }
    if record.iter().any(|text| text.chars().any(char::is_control)) {
        return Err("a cell holds a control character".to_owned());
    }
    Ok(Account { user: user.to_owned(), password: cell(1), auth_name: cell(2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_with_and_without_heading_and_quotes() {
        let text =
            "\u{feff}user,password\nalice,secret\n\nbob,\"two, with \"\"quotes\"\"\",bob-auth\ncarol\n";
        let accounts = read_accounts(text.as_bytes()).unwrap();
        let one = |user: &str, password: Option<&str>, auth_name: Option<&str>| Account {
            user: user.to_owned(),
            password: password.map(str::to_owned),
            auth_name: auth_name.map(str::to_owned),
        };
        assert_eq!(
            accounts,
            [
                one("alice", Some("secret"), None),
                one("bob", Some("two, with \"quotes\""), Some("bob-auth")),
                one("carol", None, None)
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_without_the_password() {
        let text = b"alice,hunter2\nalice,hunter2\n,hunter2\na b,hunter2\nbob,hunter2,b,c\nx,\xff\n";
        let wrong = read_accounts(text).unwrap_err();
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
        assert_eq!(wrong[0], "line 2 has the user of line 1");
        assert!(wrong[1].starts_with("line 3: the user:") && wrong[4].starts_with("line 6"), "{wrong:#?}");
        assert!(!wrong.concat().contains("hunter2"));
        assert!(read_accounts(b"user,password\n").is_err());
    }
}
