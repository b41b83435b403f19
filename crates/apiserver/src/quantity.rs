//! Resource quantities (`100m`, `1.5Gi`) in the canonical form of Kubernetes.

/// Returns the canonical form of a quantity, or `None` if it is invalid.
///
/// Decimal quantities have no fraction: `0.5` becomes `500m`, `1000m` becomes `1`. Binary suffixes stay binary.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (number, suffix) = split(text)?;
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix) {
        return binary(number, power + 1);
    }
    let exponent = exponent(suffix)?;
    let scientific = suffix.len() > 1 || suffix == "e";
    let nano = nanos(number, exponent)?;
    Some(decimal(nano, scientific))
}

/// Returns the power of ten of a decimal suffix.
fn exponent(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        other => other.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?,
    })
}

/// Returns a quantity in thousandths, rounded up, or `None` if it is invalid.
pub(crate) fn millis(text: &str) -> Option<i128> {
    let (number, suffix) = split(text)?;
    if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix) {
        let nano = nanos(number, 0)?;
        return Some(nano * 1024_i128.pow(u32::try_from(power).ok()? + 1) / 1_000_000);
    }
    let canonical = canonical(text)?;
    let (number, suffix) = split(&canonical)?;
    let exponent = exponent(suffix)?;
    Some((nanos(number, exponent)? + 999_999) / 1_000_000)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let signs = usize::from(text.starts_with(['+', '-']));
    let digits =
        text[signs..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |at| at + signs);
    let number = &text[..digits];
    let plain = number.trim_start_matches(['+', '-']);
    let fits =
        plain.bytes().any(|b| b.is_ascii_digit()) && plain.matches('.').count() <= 1 && plain.len() <= 20;
    fits.then_some((number, &text[digits..]))
}

fn nanos(number: &str, exponent: i32) -> Option<i128> {
    let negative = number.starts_with('-');
    let plain = number.trim_start_matches(['+', '-']);
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let mut value: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = exponent + 9 - i32::try_from(fraction.len()).ok()?;
    if shift > 18 + 9 {
        return None;
    }
    if shift >= 0 {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    } else {
        let by = 10_i128.checked_pow(u32::try_from(-shift).ok()?)?;
        // Fractions below 1n are rounded up.
        value = (value + by - 1) / by;
    }
    Some(if negative { -value } else { value })
}

fn decimal(nano: i128, scientific: bool) -> String {
    if nano == 0 {
        return "0".to_owned();
    }
    let mut value = nano;
    let mut exponent = -9;
    while value % 1000 == 0 && exponent < 18 {
        value /= 1000;
        exponent += 3;
    }
    let suffix = match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        0 => "",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        _ => "E",
    };
    if scientific && exponent != 0 { format!("{value}e{exponent}") } else { format!("{value}{suffix}") }
}

fn binary(number: &str, power: usize) -> Option<String> {
    let nano = nanos(number, 0)?;
    let mut bytes = nano.checked_mul(1024_i128.checked_pow(u32::try_from(power).ok()?)?)?;
    if bytes % 1_000_000_000 != 0 {
        // Kubernetes uses the decimal form for a fraction of a byte.
        return Some(decimal(bytes, false));
    }
    bytes /= 1_000_000_000;
    if bytes == 0 {
        return Some("0".to_owned());
    }
    let mut power = 0;
    while bytes % 1024 == 0 && power < 6 {
        bytes /= 1024;
        power += 1;
    }
    Some(format!("{bytes}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonicalized() {
        for (given, expected) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("100M", "100M"),
            ("2", "2"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("12000", "12k"),
            ("0.1", "100m"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
        assert_eq!(canonical("ten"), None);
        assert_eq!(canonical("1x"), None);
        assert_eq!(millis("1Ki"), Some(1_024_000));
    }
}
