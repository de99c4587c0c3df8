//! Kubernetes quantities in the only two units that a colony reads right: thousandths of a core and mebibytes. Pure.

use crate::{api::function::Quantity, kinds::SpecError};

/// Thousandths of a core, rounded up.
///
/// # Errors
///
/// When it is no quantity, is 0, or does not fit.
pub fn millicores(field: &str, quantity: &Quantity) -> Result<u32, SpecError> {
    whole(field, quantity, 1000, 1, "write CPU such as 500m or 2, above 0")
}

/// Mebibytes, rounded up.
///
/// # Errors
///
/// As [`millicores`].
pub fn mebibytes(field: &str, quantity: &Quantity) -> Result<u32, SpecError> {
    whole(field, quantity, 1, 1 << 20, "write an amount such as 512Mi or 1Gi, above 0")
}

/// `quantity * numerator / denominator`, rounded up.
fn whole(
    field: &str,
    quantity: &Quantity,
    numerator: i128,
    denominator: i128,
    remedy: &str,
) -> Result<u32, SpecError> {
    let text = quantity.to_string();
    let refused = || SpecError::invalid(field, &text, remedy);
    let (mantissa, scale) = parse(&text).ok_or_else(refused)?;
    let (scale_up, scale_down) = scale;
    let above =
        mantissa.checked_mul(numerator).and_then(|above| above.checked_mul(scale_up)).ok_or_else(refused)?;
    let below = denominator.checked_mul(scale_down).ok_or_else(refused)?;
    let rounded = above.checked_add(below - 1).ok_or_else(refused)? / below;
    u32::try_from(rounded).ok().filter(|whole| *whole > 0).ok_or_else(refused)
}

/// The digits as a whole number, and by what to multiply and to divide it.
fn parse(text: &str) -> Option<(i128, (i128, i128))> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() > 20
        || number.matches('.').count() > 1
        || whole.len() + fraction.len() == 0
    {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (up, down) = scale(suffix)?;
    Some((mantissa, (up, down.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?)))
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |power: u32| Some((10_i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => Some((1 << 10, 1)),
        "Mi" => Some((1 << 20, 1)),
        "Gi" => Some((1 << 30, 1)),
        "Ti" => Some((1 << 40, 1)),
        "Pi" => Some((1 << 50, 1)),
        "Ei" => Some((1 << 60, 1)),
        exponent => {
            let power: i32 =
                exponent.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| (-9..=18).contains(power))?;
            let size = 10_i128.pow(power.unsigned_abs());
            Some(if power < 0 { (1, size) } else { (size, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Quantity {
        Quantity::Text(text.to_owned())
    }

    /// The server reads every other spelling as 0, or refuses it, some at random.
    #[test]
    fn quantities_are_sent_as_millicores_and_mebibytes_rounded_up() {
        for (quantity, expected) in [
            ("500m", 500),
            ("2", 2000),
            ("0.5", 500),
            (".5", 500),
            ("1e3m", 0),
            ("1500u", 2),
            ("1e1", 10_000),
            ("0.0001", 1),
        ] {
            let found = millicores("cpu", &text(quantity)).unwrap_or_default();
            assert_eq!(found, expected, "{quantity}");
        }
        assert_eq!(millicores("cpu", &Quantity::Number(3)), Ok(3000));
        for (quantity, expected) in [
            ("1Gi", 1024),
            ("1.5Gi", 1536),
            ("512M", 489),
            ("1", 1),
            ("1048576", 1),
            ("1048577", 2),
            ("2Ti", 2_097_152),
            ("10k", 1),
        ] {
            assert_eq!(mebibytes("memory", &text(quantity)), Ok(expected), "{quantity}");
        }
    }

    #[test]
    fn what_no_server_could_keep_is_refused_with_field_value_and_remedy() {
        for bad in ["", "x", "1x", "1.2.3", "-1", "0", "8Ei", "99999999999999999999999", "1e99", "1e"] {
            let refusal = mebibytes("spec.conditions.resources.memory", &text(bad)).unwrap_err().to_string();
            assert!(refusal.starts_with("spec.conditions.resources.memory: "), "{bad}: {refusal}");
        }
    }
}
