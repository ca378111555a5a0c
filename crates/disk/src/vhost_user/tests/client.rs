//! A VMM's side of the messages, byte by byte.

use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vhost::vhost_user::message::FrontendReq as Request;

use crate::guest::RegionSpec;
use crate::ring::tests::Shape;

pub(super) struct Client(pub(super) UnixStream);

impl Client {
    /// Sends bytes and files as they are.
    pub(super) fn raw(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> std::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(files.is_empty() || control.push(SendAncillaryMessage::ScmRights(files)));
        sendmsg(self.0.as_fd(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
    pub(super) fn bytes(request: u32, flags: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes =
            [request, flags, body.len() as u32].map(u32::to_le_bytes).as_flattened().to_vec();
        bytes.extend(body);
        bytes
    }
    /// Sends a request that wants an acknowledgement, and gives it: 0 is well done.
    pub(super) fn ask(&mut self, request: Request, body: &[u8], files: &[&OwnedFd]) -> u64 {
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        self.raw(&Self::bytes(request as u32, 1 | 8, body), &files).unwrap();
        let reply = self.reply(request);
        u64::from_le_bytes(reply.try_into().unwrap())
    }
    /// Sends a question.
    pub(super) fn get(&mut self, request: Request, body: &[u8]) -> Vec<u8> {
        self.raw(&Self::bytes(request as u32, 1, body), &[]).unwrap();
        self.reply(request)
    }
    pub(super) fn reply(&mut self, request: Request) -> Vec<u8> {
        let mut header = [0; 12];
        self.0.read_exact(&mut header).unwrap();
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4)), (request as u32, 1 | 4));
        let mut body = vec![0; word(8) as usize];
        self.0.read_exact(&mut body).unwrap();
        body
    }

    pub(super) fn negotiate(&mut self, shape: Shape) {
        let number = |number: u64| number.to_le_bytes();
        self.get(Request::GET_FEATURES, &[]);
        self.raw(
            &Self::bytes(
                Request::SET_PROTOCOL_FEATURES as u32,
                1,
                &number(super::super::features::OFFERED),
            ),
            &[],
        )
        .unwrap();
        let features = shape.features() | crate::virtio_blk::feature::PROTOCOL;
        assert_eq!(self.ask(Request::SET_FEATURES, &number(features), &[]), 0);
    }
    pub(super) fn table(regions: &[RegionSpec]) -> Vec<u8> {
        let mut body = [regions.len() as u32, 0].map(u32::to_le_bytes).as_flattened().to_vec();
        for spec in regions {
            body.extend(
                [spec.guest, spec.length, spec.user, spec.offset]
                    .map(u64::to_le_bytes)
                    .as_flattened(),
            );
        }
        body
    }
    /// Sets a queue up to the kick, which starts it.
    pub(super) fn queue(&mut self, index: u32, shape: Shape, kick: &OwnedFd, call: &OwnedFd) {
        let state = |number: u32| [index, number].map(u32::to_le_bytes).as_flattened().to_vec();
        assert_eq!(self.ask(Request::SET_VRING_NUM, &state(u32::from(shape.size)), &[]), 0);
        assert_eq!(self.ask(Request::SET_VRING_BASE, &state(shape.start().0), &[]), 0);
        let user = |guest: u64| guest - crate::ring::tests::driver::BASE + 0x7000_0000;
        let at = shape.addresses();
        let mut body = [index, 0].map(u32::to_le_bytes).as_flattened().to_vec();
        body.extend(
            [user(at.descriptors), user(at.device), user(at.driver), 0]
                .map(u64::to_le_bytes)
                .as_flattened(),
        );
        assert_eq!(self.ask(Request::SET_VRING_ADDR, &body, &[]), 0);
        let number = u64::from(index).to_le_bytes();
        assert_eq!(self.ask(Request::SET_VRING_CALL, &number, &[call]), 0);
        assert_eq!(self.ask(Request::SET_VRING_ENABLE, &state(1), &[]), 0);
        assert_eq!(self.ask(Request::SET_VRING_KICK, &number, &[kick]), 0);
    }
}
