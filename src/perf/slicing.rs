//! Time-slicing as a closed queueing network.
//!
//! Pods alternate between a host part (share h of their time alone) and a GPU part (t = 1 − h); the GPU
//! serves those who want it in equal turns and loses ε while two or more do: a product-form network of a
//! processor-sharing station and a delay station (Baskett, Chandy, Muntz, Palacios 1975).

/// Pushes `S_i = G(J) ÷ G(J∖{i})` for pods of these host shares, equal ones next to each other, with
/// `G = c₀ + Σ_k k!·(1+ε)^(k−1)·c_k` over the coefficients of `Π_j (h_j + t_j·z)`.
///
/// *O*(distinct × n²): each product is built anew, since dividing a factor out cancels digits when t is
/// near 1, and the factorials blow that up.
pub(super) fn slowdowns(hosts: &[f64], loss: f64, out: &mut Vec<f64>) {
    let mut product = Vec::with_capacity(hosts.len() + 1);
    let all = normalizer(hosts.iter(), loss, &mut product);
    let mut last = None;
    for (i, host) in hosts.iter().enumerate() {
        let slowdown = match last {
            Some((same, slowdown)) if same == *host => slowdown,
            _ => {
                let others = hosts.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, host)| host);
                all / normalizer(others, loss, &mut product)
            }
        };
        last = Some((*host, slowdown));
        // Alone it is 1; a rounding below is no speed-up.
        out.push(slowdown.max(1.0));
    }
}

/// The slowdown of the first of pods of these host shares.
pub(super) fn of_first(hosts: &[f64], loss: f64) -> f64 {
    let mut product = Vec::with_capacity(hosts.len() + 1);
    let all = normalizer(hosts.iter(), loss, &mut product);
    (all / normalizer(hosts[1..].iter(), loss, &mut product)).max(1.0)
}

fn normalizer<'h>(hosts: impl Iterator<Item = &'h f64>, loss: f64, product: &mut Vec<f64>) -> f64 {
    product.clear();
    product.push(1.0);
    for host in hosts {
        product.push(0.0);
        for k in (0..product.len()).rev() {
            let below = if k == 0 { 0.0 } else { product[k - 1] };
            product[k] = host * product[k] + (1.0 - host) * below;
        }
    }
    let mut weight = 1.0;
    let mut sum = product[0];
    for (k, coefficient) in product.iter().enumerate().skip(1) {
        weight *= k as f64;
        if 1 < k {
            weight *= 1.0 + loss;
        }
        sum += weight * coefficient;
    }
    sum
}
