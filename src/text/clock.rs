//! The date, as some chat templates write it into the system message.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// `strftime_now` of chat templates: the present moment in UTC, for the standard library knows no time zones.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    strftime(format, seconds)
}

/// C's `strftime` in English, for the conversions that templates use.
fn strftime(format: &str, seconds: u64) -> Result<String, Error> {
    let days = seconds / 86400;
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let weekday = DAYS[(days % 7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut conversion = chars.next();
        // GNU's "-": without leading zeros.
        let bare = conversion == Some('-');
        if bare {
            conversion = chars.next();
        }
        let number = |n: u64| if bare { n.to_string() } else { format!("{n:02}") };
        text += &match conversion {
            Some('Y') => year.to_string(),
            Some('y') => number(year % 100),
            Some('m') => number(month),
            Some('d') => number(day),
            Some('e') => format!("{day:2}"),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => number(hour),
            Some('I') => number((hour + 11) % 12 + 1),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => number(minute),
            Some('S') => number(second),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('%') => "%".to_owned(),
            other => {
                let shown = other.map(String::from).unwrap_or_default();
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now does not know %{shown}"),
                ));
            }
        };
    }
    Ok(text)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years have 146097 days; what is left is walked year by year.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from `date -u -d @SECONDS`.
    #[test]
    fn agrees_with_the_date_command() {
        let rows = [
            (0, "%Y-%m-%d %A %H:%M:%S", "1970-01-01 Thursday 00:00:00"),
            (951_782_399, "%F %T %a", "2000-02-28 23:59:59 Mon"),
            (951_782_400, "%d %b %Y", "29 Feb 2000"),
            (951_868_800, "%d %B %y", "01 March 00"),
            (1_735_689_599, "%e %h %-d/%-m %I %p %%", "31 Dec 31/12 11 PM %"),
            (4_107_542_400, "%F", "2100-03-01"),
            (4_107_456_000, "%F %I%p", "2100-02-28 12AM"),
        ];
        for (seconds, format, want) in rows {
            assert_eq!(strftime(format, seconds).unwrap(), want, "{seconds} {format}");
        }
    }

    #[test]
    fn an_unknown_conversion_is_an_error() {
        for format in ["%Q", "%", "%-"] {
            assert!(strftime(format, 0).is_err(), "{format}");
        }
        assert!(strftime("%-é", 0).is_err());
        assert!(strftime("%Y", u64::MAX).is_ok(), "the last second there is");
    }
}
