//! Rung `e2e`: the operator as it is shipped, in a cluster with a real node, against a real colony. Executors are pods,
//! and what they are asked to run is run.
//!
//! `cargo xtask test --rung e2e` starts the servers and sets what this needs: `KUBECONFIG`, `COLONIES_SERVER_HOST`,
//! `COLONIES_SERVER_PORT`, `COLONIES_TLS`, `COLONIES_SERVER_PRVKEY`, `OPERATOR_IMAGE` and `EXECUTOR_IMAGE`, and a `PATH`
//! with `helm` and `kubectl`. The server must be reachable from pods by that host name.
//!
//! Helm installs the operator once for all tests, hence the main function of its own. Each test has a namespace and a
//! colony of its own; those that stop the operator run alone, after the others.

#[cfg(test)]
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each rung uses its part of the support")]
mod support;

#[cfg(test)]
mod commands;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod run;
#[cfg(test)]
mod stage;

#[cfg(test)]
mod away;
#[cfg(test)]
mod blueprints;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod conversion;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod drained;
#[cfg(test)]
mod drift;
#[cfg(test)]
mod events;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod identities;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod life;
#[cfg(test)]
mod release;
#[cfg(test)]
mod results;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod shipped;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod trouble;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    use run::{alone, together};
    run::main(vec![
        together(
            "shipped::the_examples_apply_unchanged_and_work",
            shipped::the_examples_apply_unchanged_and_work,
        ),
        together("keys::no_key_of_a_colony_comes_near_a_pod", keys::no_key_of_a_colony_comes_near_a_pod),
        together(
            "life::it_is_scaled_changed_suspended_and_deleted",
            life::it_is_scaled_changed_suspended_and_deleted,
        ),
        together(
            "life::one_workload_takes_the_place_of_another",
            life::one_workload_takes_the_place_of_another,
        ),
        together("drift::what_others_change_is_put_right", drift::what_others_change_is_put_right),
        together(
            "strangers::what_belongs_to_others_is_left_alone",
            strangers::what_belongs_to_others_is_left_alone,
        ),
        together(
            "trouble::each_cause_is_told_and_passes_when_it_is_mended",
            trouble::each_cause_is_told_and_passes_when_it_is_mended,
        ),
        together("away::work_goes_on_without_the_colony", away::work_goes_on_without_the_colony),
        together("drain::no_running_process_is_lost", drain::no_running_process_is_lost),
        together(
            "drained::what_runs_is_ended_once_whatever_takes_its_pod",
            drained::what_runs_is_ended_once_whatever_takes_its_pod,
        ),
        together("drained::idle_ones_go_first", drained::idle_ones_go_first),
        together(
            "drained::a_fleet_of_one_identity_is_drained_too",
            drained::a_fleet_of_one_identity_is_drained_too,
        ),
        together(
            "drained::what_does_not_end_in_time_is_cancelled_where_that_is_wished",
            drained::what_does_not_end_in_time_is_cancelled_where_that_is_wished,
        ),
        together(
            "drained::what_does_not_end_in_time_is_run_again",
            drained::what_does_not_end_in_time_is_run_again,
        ),
        together(
            "blueprints::the_colonys_own_tools_drive_a_fleet",
            blueprints::the_colonys_own_tools_drive_a_fleet,
        ),
        together("blueprints::one_side_owns_the_spec", blueprints::one_side_owns_the_spec),
        together("requests::a_process_becomes_a_fleet", requests::a_process_becomes_a_fleet),
        together("requests::what_cannot_be_done_is_answered", requests::what_cannot_be_done_is_answered),
        together("events::only_transitions_are_told", events::only_transitions_are_told),
        together(
            "identities::an_executor_follows_its_type_and_its_location",
            identities::an_executor_follows_its_type_and_its_location,
        ),
        together(
            "identities::each_pod_works_as_an_executor_of_its_own",
            identities::each_pod_works_as_an_executor_of_its_own,
        ),
        together(
            "identities::one_that_the_colony_dropped_comes_back",
            identities::one_that_the_colony_dropped_comes_back,
        ),
        together(
            "connection::it_says_what_is_missing_and_recovers",
            connection::it_says_what_is_missing_and_recovers,
        ),
        together(
            "rights::the_operator_lends_no_user_its_rights",
            rights::the_operator_lends_no_user_its_rights,
        ),
        together(
            "results::a_user_of_a_namespace_reads_logs_and_whole_outputs",
            results::a_user_of_a_namespace_reads_logs_and_whole_outputs,
        ),
        alone("blueprints::a_fleet_elsewhere_is_a_blueprint", blueprints::a_fleet_elsewhere_is_a_blueprint),
        alone("drained::while_the_operator_is_away_too", drained::while_the_operator_is_away_too),
        alone("release::helm_tests_the_release", release::helm_tests_the_release),
        alone(
            "failover::when_the_leader_dies_another_takes_over",
            failover::when_the_leader_dies_another_takes_over,
        ),
        alone(
            "crash::killed_at_any_moment_it_does_everything_once",
            crash::killed_at_any_moment_it_does_everything_once,
        ),
        alone(
            "conversion::objects_are_converted_by_whichever_replica_is_there",
            conversion::objects_are_converted_by_whichever_replica_is_there,
        ),
    ])
}
