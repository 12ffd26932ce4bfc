//! tls_dsk
