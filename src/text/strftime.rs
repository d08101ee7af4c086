//! Formats the current date for chat templates, which write it into the system message.

use jiff::Zoned;
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

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Largest output of one call in bytes, because formats come from untrusted files.
const LONGEST: usize = 1 << 16;

/// The function `strftime_now` of chat templates: formats the current local time like Python's
/// `datetime.now().strftime`.
pub(crate) fn strftime_now(format: &str) -> Result<String, Error> {
    strftime(format, &Zoned::now())
}

/// C's `strftime` in English. Python's naive time has no time zone, so zone formats are empty.
fn strftime(format: &str, now: &Zoned) -> Result<String, Error> {
    if format.len() > LONGEST {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "strftime_now: the format is too long",
        ));
    }
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        // GNU flags: no padding, padding with spaces or with zeros, capitals.
        let (mut pad, mut capitals) = (None, false);
        let conversion = loop {
            match chars.next() {
                Some(flag @ ('-' | '_' | '0')) => pad = Some(flag),
                Some('^') => capitals = true,
                other => break other,
            }
        };
        let found = conversion.and_then(|letter| converted(letter, pad, now)).ok_or_else(|| {
            let shown = conversion.map(String::from).unwrap_or_default();
            Error::new(ErrorKind::InvalidOperation, format!("strftime_now does not know %{shown}"))
        })?;
        text += &if capitals { found.to_uppercase() } else { found };
    }
    Ok(text)
}

fn converted(letter: char, pad: Option<char>, now: &Zoned) -> Option<String> {
    let number = |value: i64, width: usize, usual: char| match pad.unwrap_or(usual) {
        '-' => value.to_string(),
        '_' => format!("{value:width$}"),
        _ => format!("{value:0width$}"),
    };
    let two = |value: i64| number(value, 2, '0');
    let whole = |format: &str| strftime(format, now).ok();
    let (year, month, hour) =
        (i64::from(now.year()), i64::from(now.month()), i64::from(now.hour()));
    let (from_sunday, from_monday) = (
        i64::from(now.weekday().to_sunday_zero_offset()),
        i64::from(now.weekday().to_monday_zero_offset()),
    );
    let day_of_year = i64::from(now.day_of_year());
    // Week of the year; week 1 begins with the first Sunday, or Monday.
    let week = |weekday: i64| two((day_of_year + 6 - weekday) / 7);
    let iso = now.date().iso_week_date();
    let month_name = *MONTHS.get(usize::try_from(month - 1).ok()?)?;
    let day_name = *DAYS.get(usize::try_from(from_sunday).ok()?)?;
    let twelve = (hour + 11) % 12 + 1;
    Some(match letter {
        'Y' => year.to_string(),
        'C' => two(year / 100),
        'y' => two(year % 100),
        'G' => iso.year().to_string(),
        'g' => two(i64::from(iso.year()) % 100),
        'm' => two(month),
        'd' => two(i64::from(now.day())),
        'e' => number(i64::from(now.day()), 2, '_'),
        'j' => number(day_of_year, 3, '0'),
        'B' => month_name.to_owned(),
        'b' | 'h' => month_name[..3].to_owned(),
        'A' => day_name.to_owned(),
        'a' => day_name[..3].to_owned(),
        'u' => (from_monday + 1).to_string(),
        'w' => from_sunday.to_string(),
        'U' => week(from_sunday),
        'W' => week(from_monday),
        'V' => two(i64::from(iso.week())),
        'H' => two(hour),
        'k' => number(hour, 2, '_'),
        'I' => two(twelve),
        'l' => number(twelve, 2, '_'),
        'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if hour < 12 { "am" } else { "pm" }.to_owned(),
        'M' => two(i64::from(now.minute())),
        'S' => two(i64::from(now.second())),
        'f' => format!("{:06}", now.subsec_nanosecond() / 1000),
        's' => now.timestamp().as_second().to_string(),
        'F' => whole("%Y-%m-%d")?,
        'D' | 'x' => whole("%m/%d/%y")?,
        'T' | 'X' => whole("%H:%M:%S")?,
        'R' => whole("%H:%M")?,
        'r' => whole("%I:%M:%S %p")?,
        'c' => whole("%a %b %e %H:%M:%S %Y")?,
        'Z' | 'z' => String::new(),
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use jiff::tz::{Offset, TimeZone};

    fn at(seconds: i64, hours: i8) -> Zoned {
        let zone = TimeZone::fixed(Offset::constant(hours));
        Timestamp::from_second(seconds).unwrap().to_zoned(zone)
    }

    /// Expected values from `TZ=UTC0 date -d @SECONDS`.
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
            (
                1_735_689_599,
                "%j %D %x %X %C %R %r %s",
                "366 12/31/24 12/31/24 23:59:59 20 23:59 11:59:59 PM 1735689599",
            ),
            (1_735_689_599, "%U %W %V %G %g %u %w", "52 53 01 2025 25 2 2"),
            (1_735_689_600, "%U %W %V %G %u %w %-j", "00 00 01 2025 3 3 1"),
            (1_736_035_200, "%c|%k|%l|%n|%t", "Sun Jan  5 00:00:00 2025| 0|12|\n|\t"),
            (1_736_035_200, "%U %W %^a %_m %P", "01 00 SUN  1 am"),
        ];
        for (seconds, format, want) in rows {
            assert_eq!(strftime(format, &at(seconds, 0)).unwrap(), want, "{seconds} {format}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_zone() {
        assert_eq!(strftime("%d %H", &at(1_735_689_599, 14)).unwrap(), "01 13");
        assert_eq!(strftime("%d %H", &at(1_735_689_599, -12)).unwrap(), "31 11");
    }

    #[test]
    fn an_unknown_conversion_is_an_error() {
        for format in ["%Q", "%", "%-", "%-é"] {
            assert!(strftime(format, &at(0, 0)).is_err(), "{format}");
        }
    }
}
