//! [`Entrance`]: the way of one integration's deliveries through the gates of all its aliases, and the [`Seat`] each has while it runs.
//!
//! Depends on `turnstile`. A seat is given back when it is dropped, whatever becomes of its delivery.

use std::sync::Arc;

use tokio::sync::Notify;

use super::turns::Who;
use super::turnstile::{Counted, Turnstile};
use crate::clock::{Clock, Timestamp};

/// Where an integration asks for seats.
#[derive(Debug)]
pub struct Entrance {
    who: Who,
    turnstiles: Vec<Arc<Turnstile>>,
    clock: Arc<dyn Clock>,
}

/// What came of asking for seats.
#[derive(Debug)]
pub enum Admission {
    /// At least one.
    Seats(Seats),
    /// None. To be asked again at this time, or when the bell rings.
    NotBefore(Timestamp),
}

/// Seats for deliveries that are about to start. What is not taken is given back.
#[derive(Debug)]
pub struct Seats {
    left: usize,
    /// None where no alias counts.
    places: Option<Arc<Places>>,
}

/// A delivery's leave to run.
#[derive(Debug)]
pub struct Seat(Option<Arc<Places>>);

/// Where a batch of seats is counted.
#[derive(Debug)]
struct Places {
    integration: Arc<str>,
    counted: Vec<(Arc<Turnstile>, Counted)>,
    clock: Arc<dyn Clock>,
}

impl Entrance {
    /// The entrance of `integration` to the aliases of `turnstiles`; `bell` is rung when asking again may be worth it.
    pub fn new(integration: &str, turnstiles: Vec<Arc<Turnstile>>, bell: Arc<Notify>, clock: Arc<dyn Clock>) -> Self {
        Self { who: Who { integration: integration.into(), bell }, turnstiles, clock }
    }

    /// Seats for up to `wanted` deliveries, as many as every alias has for them.
    pub fn admit(&self, wanted: usize) -> Admission {
        let now = self.clock.now();
        let mut seats = wanted;
        let mut counted: Vec<(Arc<Turnstile>, Counted)> = Vec::new();
        for turnstile in &self.turnstiles {
            match turnstile.admit(&self.who, seats, now) {
                Ok(granted) => {
                    counted
                        .iter()
                        .for_each(|(earlier, how)| earlier.give_back(&self.who.integration, seats - granted.seats, *how, false, now));
                    seats = granted.seats;
                    counted.extend(granted.counted.map(|how| (Arc::clone(turnstile), how)));
                }
                Err(at) => {
                    counted.iter().for_each(|(earlier, how)| earlier.give_back(&self.who.integration, seats, *how, false, now));
                    return Admission::NotBefore(at);
                }
            }
        }
        if counted.is_empty() {
            return Admission::Seats(Seats { left: seats, places: None });
        }
        let places = Places { integration: Arc::clone(&self.who.integration), counted, clock: Arc::clone(&self.clock) };
        Admission::Seats(Seats { left: seats, places: Some(Arc::new(places)) })
    }
}

impl Seats {
    /// How many there are. Never none, before the first is taken.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl Iterator for Seats {
    type Item = Seat;

    fn next(&mut self) -> Option<Seat> {
        self.left = self.left.checked_sub(1)?;
        Some(Seat(self.places.clone()))
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        if let Some(places) = self.places.as_ref().filter(|_| self.left > 0) {
            places.give_back(self.left, false);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(places) = &self.0 {
            places.give_back(1, true);
        }
    }
}

impl Places {
    fn give_back(&self, seats: usize, began: bool) {
        let now = self.clock.now();
        self.counted.iter().for_each(|(turnstile, how)| turnstile.give_back(&self.integration, seats, *how, began, now));
    }
}
