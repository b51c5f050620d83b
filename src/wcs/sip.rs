//! The distortion of the SIP convention (Shupe et al. 2005, ADASS XIV, 491; Shupe et al. 2012, ADASS XXI): polynomials of the
//! pixels from `CRPIX`, `u + sum A_p_q u^p v^q` and `v + sum B_p_q u^p v^q`.
//!
//! `AP_p_q` and `BP_p_q` are fits to the inverse, good to a fraction of a pixel. They are not used: the polynomials themselves are
//! inverted, which gives the pixel that the header means by a position, and what `all_world2pix` of astropy finds.

use super::{distortion::Distortion, keys::indexed_keys, polynomial::Polynomial};
use crate::fits::Header;

/// The highest order of the convention.
const MAX_ORDER: i64 = 9;

/// The distortion of a header whose `CTYPE` ends in `-SIP`.
///
/// # Errors
/// When an order is missing or not 0 to 9, a term is above the order, or the map is singular at `CRPIX`.
pub(super) fn sip_distortion(header: &Header) -> Result<Distortion, String> {
    let mut along = [polynomial(header, "A")?, polynomial(header, "B")?];
    along[0].add([1, 0], 1.0);
    along[1].add([0, 1], 1.0);
    Distortion::new(along).ok_or_else(|| "has keys `A_p_q` and `B_p_q` of a map that is singular at `CRPIX`".to_owned())
}

/// The first key of a distortion that a `CTYPE` without `-SIP` switches off.
///
/// # Errors
/// When a term is not a number.
pub(super) fn unused_sip_key(header: &Header) -> Result<Option<String>, String> {
    for prefix in ["A_", "B_"] {
        let terms = indexed_keys(header, prefix)?;
        if let Some(term) = terms.into_iter().find(|term| term.value != 0.0) {
            return Ok(Some(term.key));
        }
    }
    Ok(None)
}

fn polynomial(header: &Header, name: &str) -> Result<Polynomial, String> {
    let key = format!("{name}_ORDER");
    let order = header.integer(&key)?.ok_or_else(|| format!("key `{key}` is missing, expected the order of SIP"))?;
    if !(0..=MAX_ORDER).contains(&order) {
        return Err(format!("key `{key}` is {order}, expected 0 to {MAX_ORDER}"));
    }
    let order = order as usize;
    // The linear term of the identity has to fit.
    let mut polynomial = Polynomial::zero(order.max(1));
    let mut seen = Vec::new();
    for term in indexed_keys(header, &format!("{name}_"))? {
        let [p, q] = term.indices;
        if term.value != 0.0 && p.checked_add(q).is_none_or(|degree| degree > order) {
            return Err(format!("key `{}` is above the order, key `{key}` is {order}", term.key));
        }
        // The first card of a key is used.
        if term.value != 0.0 && !seen.contains(&term.indices) {
            polynomial.add(term.indices, term.value);
            seen.push(term.indices);
        }
    }
    Ok(polynomial)
}
