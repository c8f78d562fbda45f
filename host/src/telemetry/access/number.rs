//! Numbers as text, without allocation.

use std::time::Duration;

use super::short::put;

/// Appends a whole number.
pub(super) fn whole(mut number: u64, out: &mut Vec<u8>) {
    // A 64-bit number has at most 20 digits.
    let mut digits = [b'0'; 20];
    let count = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    for digit in digits.iter_mut().take(count).rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    put(&digits, count, out);
}

/// Appends a time in milliseconds, to the microsecond.
pub(super) fn millis(time: Duration, out: &mut Vec<u8>) {
    let micros = time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into());
    whole(micros / 1000, out);
    let digit = |number: u64| b'0' + (number % 10) as u8;
    out.extend_from_slice(&[b'.', digit(micros / 100), digit(micros / 10), digit(micros)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            whole(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        let check = |micros, expected: &str| {
            let mut out = Vec::new();
            millis(Duration::from_micros(micros), &mut out);
            assert_eq!(out, expected.as_bytes());
        };
        check(0, "0.000");
        check(7, "0.007");
        check(12_345, "12.345");
        check(3_600_000_000, "3600000.000");
        check(u64::MAX, "18446744073709551.615");
    }
}
