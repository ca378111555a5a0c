//! DHCP, TFTP, HTTP boot, and the signed image that machines boot.
