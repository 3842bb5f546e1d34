//! The end-to-end tests: the real binaries over real sockets, against scripted foreign peers, clients and
//! trackers. One module for each thing that is tested:

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the functions beside the #[test] ones are tests, too"
)]

/// Which module uses which.
mod structure;

/// The doubles among themselves: what the other tests rely on.
mod doubles;
/// The fixtures: golden bytes of both wire protocols and of `.cascade` files.
mod golden;

/// Both programs under a service manager.
mod service;
/// `tracker`: protocol §2 from raw bytes.
mod tracker;
/// `tracker`: configuration, command line, signals.
mod tracker_log;
mod tracker_near;
mod tracker_rules;
mod tracker_setup;
mod tracker_state;
/// `tracker --store`: several trackers, and real stores that fail.
mod tracker_store;

/// `peer create`, `peer info`, `peer verify`.
mod create;
/// Damaged and hostile `.cascade` files, given to every subcommand that reads one.
mod hostile_cascade;
mod info;
mod verify;

/// Folders: described, verified and seeded as the archive that they make.
mod folder;
/// Folders: `peer download`.
mod folder_download;
/// Folders: `peer download` of archives that no honest peer makes.
mod folder_hostile;
/// Folders: links to them, and `peer share`.
mod folder_link;
/// Folders: the part file that becomes one.
mod folder_turning;
/// Folders: brought up to date where they are.
mod folder_update;

/// Names and messages that play with a terminal, given to everything that prints.
mod hostile_text;
/// Output that nobody reads, or that is lost.
mod lost_output;
/// SIGINT, SIGTERM and SIGHUP at every moment.
mod signals;

/// `peer download`: the way that everything goes well, and the command line.
mod download;
/// `peer download` and addresses: hostile lists, hosts that are victims, its own.
mod download_addresses;
/// `peer download` from peers that do not bear what most do.
mod download_fragile;
/// `peer download` from peers with the habits of the field.
mod download_habits;
/// `peer download` among peers that lie, stall or are dead.
mod download_liars;
/// `peer download`: the user's files, before, during and after.
mod download_resume;
/// `peer download` and trackers of every manner.
mod download_trackers;
/// Disks that do not keep what they take, or are full.
mod store_disk;
/// Other programs at work on the same files; names that lead elsewhere.
mod store_others;

/// Processes that have nothing to do.
mod idle;

/// `peer download` where the machine says no: disk, folders, ports, memory.
mod download_trouble;
/// `peer download` of blocks that come wrong.
mod download_wrong;

/// `--paranoid`, and files that change without a trace.
mod paranoid;
/// `peer seed` and every habit of foreign clients.
mod seed;
/// `peer seed` and clients that take nothing: places, queues, news, descriptors.
mod seed_crowds;
/// `peer serve`: files that come into a folder, change there, and are removed.
mod serve;
/// `peer serve --download` and `--exec`.
mod serve_download;
/// What `peer seed` and `peer download` may serve, and what never.
mod serve_only_verified;
/// `peer serve`: what trackers, clients and viewers are told of many files.
mod serve_told;

/// `--lan`: peers of one network.
mod lan;
/// `--lan` in a network with somebody who announces thousands of peers.
mod lan_flood;
/// `--max-up` and `--max-down`.
mod rates;

/// Trackers, seeders and downloaders together, all of them real.
mod swarm;

/// `peer seed --origin`: blocks that a web server or an object store has.
mod origin;
/// `peer serve --origin`: the same of files that have no data in a folder.
mod origin_serve;
/// `--origin https://`: whose certificates are trusted.
mod origin_tls;

/// The swarm extension: what `peer seed` and `peer download` tell.
mod extension;
/// The swarm extension: many peers that are of no use, and one that is.
mod extension_crowds;
/// The swarm extension: what `peer download` makes of what it is told.
mod extension_download;
/// The swarm extension: peers that lie in it.
mod extension_liars;
/// The swarm extension: real peers among themselves.
mod extension_swarm;

/// Slices of large blocks: real peers among themselves, and beside version 1.
mod slices;
/// Slices of large blocks: clients that ask for them in strange ways, and what they cost a seeder.
mod slices_clients;
/// Slices of large blocks: disks that are full, kills, other programs, folders.
mod slices_fragile;
/// Slices of large blocks: peers that lie in them.
mod slices_liars;

/// Links: the `.cascade` file from other peers, and every command that takes one.
mod links;
/// Links among peers that give a wrong `.cascade` file, or none.
mod links_liars;
/// The room of a file: reports to trackers, `peer wait`, `peer status`, `peer share --until`.
mod room;
/// `peer share`.
mod share;

/// Peers, trackers and links in IPv6, alone and beside IPv4.
mod ipv6;

/// What a person sees on a terminal, and at the end: rows that stay in place, and how good it was.
mod terminal;

/// `--web`: what it answers, to whom, and what it bears.
mod web;
/// `--web`: the page in a real browser.
mod web_browser;
