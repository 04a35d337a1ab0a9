//! The behaviour every message store must show: one list of sentences, run against each of them.

mod behaviour;
mod clocks;
mod lanes;
mod operators;
mod sources;
mod strict;
pub mod world;

use world::{InMemory, OnDisk, World};

/// Runs every behaviour against a world.
macro_rules! suite {
    ($store:ident, $world:expr, $($room:ident :: { $($behaviour:ident),+ $(,)? }),+ $(,)?) => {
        mod $store {
            use super::*;
            $($(
                #[tokio::test]
                async fn $behaviour() {
                    super::$room::$behaviour(World::new($world)).await;
                }
            )+)+
        }
    };
}

macro_rules! both {
    ($($list:tt)*) => {
        suite!(memory, InMemory::default(), $($list)*);
        suite!(sqlite, OnDisk::open(), $($list)*);
    };
}

both! {
    behaviour::{
        hands_out_what_is_due_oldest_first_and_nothing_twice,
        hands_out_nothing_before_it_is_due,
        hands_out_nothing_more_once_the_bodies_have_as_many_bytes_as_asked,
        a_released_delivery_is_as_if_it_had_never_been_handed_out,
        a_release_wakes_who_hands_out,
        refuses_to_settle_what_is_not_leased,
        the_same_token_gives_the_first_message_and_an_expired_one_counts_no_more,
        tokens_of_different_scopes_never_meet,
        the_same_message_is_taken_once,
        takes_no_more_than_may_wait,
        takes_no_more_than_may_wait_in_all_integrations_together,
        a_message_without_the_key_its_integration_orders_by_is_dead_lettered_at_once,
        attempts_and_waits_are_counted_and_waiting_is_not_held_against_it,
        time_in_which_it_was_due_and_was_not_handed_out_is_not_held_against_it,
        starts_that_never_settled_are_counted_over_a_crash,
        an_append_reaches_every_reader_once,
        an_existing_message_is_appended_as_it_is,
        effects_commit_with_the_settlement_or_vanish,
        a_message_is_found_by_what_its_plugins_track_each_value_once_and_not_without_end,
        key_values_expire_and_are_listed_by_prefix,
        next_due_is_the_first_that_is_ready_and_free,
        wakes_who_got_something,
    },
    clocks::{
        a_wall_clock_that_jumps_moves_no_delivery_and_no_token,
    },
    lanes::{
        one_of_a_lane_at_a_time_in_the_order_of_acceptance,
        a_retry_keeps_its_place,
        a_dead_letter_lets_the_next_one_go,
        lanes_of_different_integrations_do_not_meet,
        children_take_the_place_of_their_parent_in_order,
        a_child_that_is_there_already_is_not_made_again,
        children_without_a_lane_are_all_due_at_once,
    },
    strict::{
        a_dead_letter_stops_its_lane_and_no_other,
        a_stopped_lane_takes_messages_and_hands_out_none,
        a_discarded_dead_letter_frees_its_lane,
        a_replay_goes_first_and_those_behind_it_follow_when_it_is_delivered,
        a_replay_that_dies_stops_the_lane_again,
        an_edit_into_another_lane_frees_the_one_it_leaves,
        a_dead_child_stops_its_siblings,
        what_is_stopped_does_not_wait_and_survives_a_crash,
        a_lane_with_two_dead_letters_goes_when_both_are_closed,
        a_dead_letter_without_a_lane_stops_nothing,
    },
    operators::{
        a_dead_letter_is_replayed_once_with_the_next_number,
        a_discarded_dead_letter_is_gone,
        a_replay_goes_before_what_is_newer_and_not_in_flight,
        a_replay_waits_for_what_is_in_flight_then_goes_first,
        a_replay_goes_before_what_was_in_flight_and_is_released,
        a_replay_behind_newer_deliveries_asks,
        a_replay_behind_newer_deliveries_is_skipped_or_made_as_told,
        siblings_do_not_supersede_each_other,
        a_replayed_child_goes_to_the_sink,
        of_two_who_edit_a_dead_letter_one_is_first_and_the_other_is_told,
        an_edited_message_that_dies_is_edited_again,
        an_edited_message_takes_the_place_of_the_dead_letter_in_its_lane,
        an_edited_message_with_another_key_stands_in_that_keys_lane,
        an_edit_behind_newer_deliveries_of_its_key_asks,
        an_edited_child_goes_to_the_sink,
    },
    sources::{
        a_page_commits_with_its_cursor_and_its_effects,
        of_two_pages_from_one_cursor_one_is_taken_and_nothing_of_the_other,
        a_page_is_taken_whole_or_not_at_all_where_much_waits,
        a_record_is_taken_once_from_whichever_source_it_comes,
        a_record_that_is_found_again_and_again_stays_known,
        a_duplicate_is_told_the_first_of_its_token_whoever_brought_its_records,
    },
}
