//! Sample arithmetic, and closed forms of queueing theory to judge simulations by.
