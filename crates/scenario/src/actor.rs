//! The closed list of everybody who can be on the network of a lab.

use identity::Identity;
use net::{Input, Node, Outbox, Time};
use registrar::Registrar;
use site::authority::AuthorityServer;
use site::dhcp::DhcpServer;
use site::dns::DnsServer;
use site::ntp::NtpServer;
use site::provisioning::ProvisioningServer;
use vvx::phone::Phone;

use crate::person::Person;

macro_rules! actors {
    ($( $(#[doc = $doc:literal])* $variant:ident($type:ty) $look:ident $change:ident, )*) => {
        /// Somebody on the network.
        #[derive(Debug)]
        pub enum Actor {
            $( $(#[doc = $doc])* $variant(Box<$type>), )*
        }

        impl Actor {
            $(
                #[doc = concat!("This actor, if it is a `", stringify!($type), "`.")]
                pub fn $look(&self) -> Option<&$type> {
                    match self {
                        Actor::$variant(actor) => Some(actor),
                        _ => None,
                    }
                }

                #[doc = concat!("This actor, to be changed, if it is a `", stringify!($type), "`.")]
                pub fn $change(&mut self) -> Option<&mut $type> {
                    match self {
                        Actor::$variant(actor) => Some(actor),
                        _ => None,
                    }
                }
            )*
        }

        impl Node for Actor {
            fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
                match self {
                    $( Actor::$variant(actor) => actor.handle(now, input, out), )*
                }
            }

            fn wake_at(&self) -> Option<Time> {
                match self {
                    $( Actor::$variant(actor) => actor.wake_at(), )*
                }
            }
        }
    };
}

actors! {
    /// A phone.
    Phone(Phone) phone phone_mut,
    /// A person with a computer.
    Person(Person) person person_mut,
    /// The identity service.
    Identity(Identity) identity identity_mut,
    /// A pool.
    Registrar(Registrar) registrar registrar_mut,
    /// A site's DHCP server.
    Dhcp(DhcpServer) dhcp dhcp_mut,
    /// The name server.
    Dns(DnsServer) dns dns_mut,
    /// The time server.
    Ntp(NtpServer) ntp ntp_mut,
    /// A site's provisioning server.
    Provisioning(ProvisioningServer) provisioning provisioning_mut,
    /// The server that tells about the public authority.
    Authority(AuthorityServer) authority authority_mut,
}
