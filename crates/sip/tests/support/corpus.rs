//! Every message file beside the tests, by name.

macro_rules! corpus {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../", $folder, "/", $name, ".sip")))),*]
    };
}

/// RFC 4475.
#[rustfmt::skip]
pub const TORTURE: &[(&str, &str)] = corpus!("torture":
    "badaspec"
    "badbranch"
    "baddate"
    "baddn"
    "badinv01"
    "badvers"
    "bcast"
    "bext01"
    "bigcode"
    "clerr"
    "cparam01"
    "cparam02"
    "dblreq"
    "esc01"
    "esc02"
    "escnull"
    "escruri"
    "insuf"
    "intmeth"
    "inv2543"
    "invut"
    "longreq"
    "ltgtruri"
    "lwsdisp"
    "lwsruri"
    "lwsstart"
    "mcl01"
    "mismatch01"
    "mismatch02"
    "mpart01"
    "multi01"
    "ncl"
    "noreason"
    "novelsc"
    "quotbal"
    "regaut01"
    "regbadct"
    "regescrt"
    "scalar02"
    "scalarlg"
    "sdp01"
    "semiuri"
    "transports"
    "trws"
    "unkscm"
    "unksm2"
    "unreason"
    "wsinv"
    "zeromf"
);

/// RFC 5118.
#[rustfmt::skip]
pub const IPV6: &[(&str, &str)] = corpus!("ipv6":
    "bad"
    "good"
    "many-addresses-in-headers"
    "many-addresses-in-sdp"
    "mapped-ipv4"
    "port-ambiguous"
    "port-unambiguous"
    "received-with-brackets"
    "received-without-brackets"
    "sdp"
    "three-colons"
    "two-colons"
);
