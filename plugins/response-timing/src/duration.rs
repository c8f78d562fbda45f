//! Durations as text, by hand: float formatting would cost more than all the rest.

/// Appends nanoseconds as milliseconds with three decimals, rounded to the microsecond: `12.345`.
pub(crate) fn push_ms(nanoseconds: u64, text: &mut Vec<u8>) {
    let microseconds = nanoseconds / 1000 + u64::from(nanoseconds % 1000 >= 500);
    push_integer(microseconds / 1000, text);
    let fraction = microseconds % 1000;
    text.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
}

fn push_integer(mut number: u64, text: &mut Vec<u8>) {
    // 20 digits hold every u64.
    let mut digits = [0; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = digit(number);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    text.extend(digits.iter().skip(20 - used));
}

/// The last decimal digit.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_become_milliseconds_with_three_decimals() {
        let check = |nanoseconds, expected: &str| {
            let mut text = b"dur=".to_vec();
            push_ms(nanoseconds, &mut text);
            assert_eq!(String::from_utf8_lossy(&text), format!("dur={expected}"));
        };
        check(0, "0.000");
        check(499, "0.000");
        check(500, "0.001");
        check(1_000, "0.001");
        check(999_499, "0.999");
        check(999_500, "1.000");
        check(12_345_678, "12.346");
        check(60_000_000_000, "60000.000");
        check(u64::MAX, "18446744073709.552");
    }
}
