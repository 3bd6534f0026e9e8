"""Every published trap we know of, and the tests that would fail if we fell into it.

Rows A1 to A18 are attacks, those with # are faults of OpenDP 0.16.0 by their number there, the others have a name. A
test is named by its file, from tests/, and its function. `test_traps.py` holds this list against the tests there are,
and against the list of traps that it was made from, where that is at hand.
"""

from __future__ import annotations

from typing import NamedTuple


class Trap(NamedTuple):
    """row: as the list names it. what: in a line. rule: ours. tests: file::function."""

    row: str
    what: str
    rule: str
    tests: tuple[str, ...]


REPLAY, ATTACKS, LEDGER = "privacy/test_replay.py", "privacy/test_attacks.py", "dp/test_ledger.py"
JOB, SECRECY, MATCH, SELECTION = (
    "cleanroom/test_job.py",
    "cleanroom/test_secrecy.py",
    "matching/test_match.py",
    "dp/test_selection.py",
)
CAMPAIGN = "cleanroom/test_campaign_secrecy.py"
ONLY_GAUSSIAN = f"{ATTACKS}::test_nothing_of_opendp_is_used_but_the_gaussian_on_integers_and_the_flip_of_bits"

TRAPS = (
    Trap(
        "A1",
        "floating-point noise",
        "noise is drawn on integers, by OpenDP, and nowhere else",
        (
            "dp/test_mechanisms.py::test_whatever_the_input_the_output_is_integers_near_it",
            "dp/test_mechanisms.py::test_floats_never_reach_the_noise",
            "dp/test_mechanisms.py::test_only_the_ledger_and_audits_on_invented_people_import_raw_noise",
            f"{ATTACKS}::test_neighbours_reach_the_same_numbers_though_exact_ones_are_multiples",
        ),
    ),
    Trap(
        "A2",
        "precision",
        "numbers are clipped before they are made whole",
        (
            "dp/test_measures.py::test_the_largest_whole_numbers_are_clipped_not_wrapped",
            f"{ATTACKS}::test_neighbours_reach_the_same_numbers_though_exact_ones_are_multiples",
        ),
    ),
    Trap(
        "A3",
        "overflow of sums",
        "bounds x 2^32 fit, or the request is refused",
        (
            "dp/test_measures.py::test_sums_near_the_end_of_64_bits_are_exact",
            "dp/test_aggregate.py::test_sums_that_could_leave_int64_are_refused_whatever_they_are",
            "dp/test_layout.py::test_the_lattice_is_fine_and_sums_fit",
        ),
    ),
    Trap(
        "A4",
        "order and rounding of sums",
        "exact integers, and cuts by a keyed hash",
        (
            f"{REPLAY}::test_shuffled_and_rechunked_rows_give_the_same_bits",
            f"{REPLAY}::test_a_float_sum_fails_the_shuffle",
            "dp/test_aggregate.py::test_shuffled_rows_give_the_same_bits",
        ),
    ),
    Trap(
        "A5",
        "odd values",
        "no error depends on a row",
        (
            f"{ATTACKS}::test_no_value_of_a_row_is_an_error",
            f"{ATTACKS}::test_a_wrong_type_is_an_error_whether_there_are_rows_or_not",
            "dp/test_measures.py::test_a_number_is_clipped_then_rounded_and_a_missing_one_adds_nothing",
        ),
    ),
    Trap(
        "A6",
        "empty groups",
        "every declared key comes back, in its place",
        (
            f"{ATTACKS}::test_every_declared_key_comes_back_though_nobody_is_in_it",
            "dp/test_table.py::test_every_declared_key_comes_back_in_order_and_negative_counts_are_shown",
            f"{REPLAY}::test_keys_taken_from_the_data_fail_the_replay",
        ),
    ),
    Trap(
        "A7",
        "delta of a threshold",
        "δ by the number of keys a person can have alone",
        (
            f"{SELECTION}::test_one_person_makes_a_key_appear_at_most_at_rate_delta",
            f"{SELECTION}::test_a_threshold_with_an_understated_delta_is_caught",
            f"{ATTACKS}::test_a_key_that_one_person_has_alone_appears_at_most_at_rate_delta",
        ),
    ),
    Trap(
        "A8",
        "code of users",
        "what may be asked is a closed list",
        (
            f"{ATTACKS}::test_what_may_be_asked_is_a_closed_list_and_nothing_runs_text",
            f"{ATTACKS}::test_code_of_users_that_is_let_in_is_caught",
        ),
    ),
    Trap(
        "A9",
        "the budget as a channel",
        "price and refusal follow from declarations and public sizes",
        (
            f"{ATTACKS}::test_price_noise_and_refusal_are_known_without_a_row",
            f"{JOB}::test_a_plan_touches_no_data_and_changes_nothing",
            f"{JOB}::test_a_plan_is_the_same_on_neighbouring_data",
            f"{CAMPAIGN}::test_what_neighbours_are_told_is_the_same",
            "dp/test_balances.py::test_overspending_is_refused_before_a_draw_and_costs_nothing",
        ),
    ),
    Trap(
        "A10",
        "timing",
        "times are rounded to the hour; nothing more is claimed",
        (
            "dp/test_entry.py::test_a_time_is_kept_to_the_hour_in_utc",
            "dp/test_log.py::test_a_clock_set_back_writes_the_hour_above_again",
            f"{ATTACKS}::test_the_draw_takes_as_many_draws_whoever_is_there",
            f"{MATCH}::test_the_same_lines_run_whatever_the_overlap",
        ),
    ),
    Trap(
        "A11",
        "errors and logs",
        "no value of a person is ever said",
        (
            f"{ATTACKS}::test_nothing_of_a_thousand_people_shows_in_reprs_and_errors",
            "cli/test_prepare.py::test_nobody_of_a_thousand_shows_in_any_output",
            "cleanroom/test_source.py::test_a_bad_file_is_refused_by_its_rule_and_nothing_of_it_is_said",
            "dp/test_mechanisms.py::test_an_error_of_opendp_is_told_without_its_words",
        ),
    ),
    Trap(
        "A12",
        "one person with very many rows",
        "L0, L1 and Linf are bounded on the final keys",
        (
            f"{REPLAY}::test_a_person_with_ten_thousand_rows_moves_no_more_than_any_other",
            f"{REPLAY}::test_no_request_moves_further_than_it_is_charged_for",
            f"{REPLAY}::test_a_planted_fault_fails_the_replay",
            f"{CAMPAIGN}::test_one_person_moves_no_more_than_is_charged",
            f"{CAMPAIGN}::test_a_bundle_in_which_a_person_has_too_many_rows_is_refused",
            f"{ATTACKS}::test_many_rows_of_one_person_are_worked_on_once",
        ),
    ),
    Trap(
        "A13",
        "averaging, replay, crash, race",
        "charge and noise are one transaction; the same request is the same bytes",
        (
            f"{LEDGER}::test_the_same_specification_gives_the_same_bytes_and_one_charge",
            "dp/test_ledger_deaths.py::test_of_eight_processes_racing_for_a_budget_of_three_exactly_three_win",
            "dp/test_ledger_deaths.py::test_a_process_that_dies_loses_no_charge_and_draws_no_second_noise",
            f"{ATTACKS}::test_a_receipt_is_good_for_one_release",
            f"{ATTACKS}::test_a_ledger_that_takes_a_receipt_twice_is_caught",
            "torture/test_torture.py::test_killed_at_random_nothing_is_lost_or_drawn_again",
        ),
    ),
    Trap(
        "A14",
        "differences of overlapping audiences",
        "one account an owner; in parallel only parts that are disjoint",
        (
            "dp/test_cover.py::test_each_rule_of_a_covered_release_is_needed",
            "dp/test_cover.py::test_a_match_rule_that_bounds_nothing_has_no_disjoint_parts",
            "dp/test_cover.py::test_rows_of_one_record_in_both_parts_cost_no_more_than_the_dearer_part",
            f"{SECRECY}::test_every_person_is_in_one_part_whoever_matched",
            f"{SECRECY}::test_a_seed_counted_in_both_parts_is_caught",
        ),
    ),
    Trap(
        "A15",
        "redefinition, cast, category, invariant",
        "requests are made up and replayed",
        (
            f"{REPLAY}::test_no_request_moves_further_than_it_is_charged_for",
            f"{REPLAY}::test_what_one_person_has_changes_nothing_of_what_others_add",
            "dp/test_keys.py::test_no_categories_or_edges_are_ever_taken_from_data",
        ),
    ),
    Trap(
        "A16",
        "the random generator",
        "the operating system's, no seed, and other noise in a fork",
        (
            "dp/test_mechanisms.py::test_forked_children_draw_other_noise",
            "dp/test_mechanisms.py::test_seeding_the_generators_of_python_and_numpy_changes_nothing",
            "statistical/test_gaussian.py::test_two_releases_have_noise_of_their_own",
        ),
    ),
    Trap(
        "A17",
        "a trained model",
        "the best test in two worlds finds a planted person as often as is said",
        (f"{ATTACKS}::test_a_person_planted_in_the_moments_is_found_as_often_as_is_said_and_no_more",),
    ),
    Trap(
        "A18",
        "tuning on private data",
        "fitting and choosing read noisy numbers alone",
        (
            "modelling/test_audience.py::test_with_the_noisy_bytes_fixed_no_label_changes_a_byte_of_the_audience",
            f"{SECRECY}::test_the_planted_fault_that_peeks_at_labels_is_caught",
        ),
    ),
    # -- faults of OpenDP 0.16.0
    Trap(
        "#2922",
        "delta of make_*_threshold understated",
        "our own selection, and its rate tested",
        (f"{SELECTION}::test_a_threshold_with_an_understated_delta_is_caught", ONLY_GAUSSIAN),
    ),
    *(
        Trap(
            row,
            "a float that is no number passes a vector unnoised",
            "clipped, then whole numbers only",
            (
                f"{ATTACKS}::test_a_number_that_is_none_cannot_shift_a_sum_as_it_does_in_a_vector_of_floats",
                "dp/test_mechanisms.py::test_floats_never_reach_the_noise",
            ),
        )
        for row in ("#2935", "#2936", "seen here")
    ),
    Trap(
        "#2937",
        "a date overflows and flips a mean",
        "days within declared edges",
        (
            f"{ATTACKS}::test_no_day_flips_a_mean_and_no_small_float_tells_a_row_apart",
            "dp/test_keys.py::test_windows_of_days_do_not_overlap_and_days_out_of_range_are_in_none",
        ),
    ),
    Trap("#2938", "an exact count at ε 0", "never `invariant=`", (ONLY_GAUSSIAN,)),
    Trap(
        "#2941",
        "a cast to single precision tells a row apart",
        "widened, clipped, made whole",
        (f"{ATTACKS}::test_no_day_flips_a_mean_and_no_small_float_tells_a_row_apart",),
    ),
    Trap(
        "#2944",
        "categories from the data",
        "declared ones only",
        (
            f"{REPLAY}::test_keys_taken_from_the_data_fail_the_replay",
            "dp/test_keys.py::test_no_categories_or_edges_are_ever_taken_from_data",
        ),
    ),
    Trap(
        "#2945",
        "a bound of rows taken for a bound of change",
        "sensitivity of what one person adds",
        (f"{REPLAY}::test_a_planted_fault_fails_the_replay", ONLY_GAUSSIAN),
    ),
    Trap(
        "#2949",
        "truncated before a column is redefined",
        "bounded last, on the final keys",
        (f"{REPLAY}::test_a_planted_fault_fails_the_replay",),
    ),
    *(
        Trap(row, "resize, Theil-Sen and others", "not used", (ONLY_GAUSSIAN,))
        for row in ("#2927", "#2950", "#2939", "#2942", "#2932")
    ),
    Trap(
        "truncate_num_groups",
        "raises, or keeps one group too few",
        "our own bounding",
        (f"{REPLAY}::test_the_charge_is_no_more_than_a_person_can_move", ONLY_GAUSSIAN),
    ),
    # -- further attacks
    Trap(
        "crafted seeds",
        "100 seeds with the target's address, each with another person's phone",
        "a row is answered by itself; a handle that is repeated is refused",
        (
            f"{MATCH}::test_one_record_of_either_side_moves_at_most_one_row",
            f"{MATCH}::test_lists_that_repeat_a_handle_are_refused_or_stable",
            f"{MATCH}::test_dealing_is_unstable_even_between_lists_without_repeats",
        ),
    ),
    Trap(
        "refusals",
        "99 known matches and the target against a minimum of 100",
        "minimums look at public sizes",
        (
            "policies/test_check.py::test_minimums_look_at_public_sizes_both_ways_round",
            f"{SECRECY}::test_an_empty_and_a_full_intersection_look_the_same",
        ),
    ),
    Trap(
        "digest",
        "a digest of a small count as a membership test",
        "a nonce of 32 bytes before every commitment",
        (
            "dp/test_releases.py::test_a_commitment_opens_with_its_nonce_and_to_nobody_else",
            "cleanroom/test_log.py::test_an_export_holds_no_release_and_no_secret",
        ),
    ),
    Trap(
        "ties",
        "ties at the cut in the order of a join",
        "a keyed hash breaks them",
        (
            "modelling/test_audience.py::test_ties_at_the_cut_go_by_the_keyed_hash_and_not_by_row",
            f"{SECRECY}::test_the_audience_is_the_top_by_score_with_keyed_ties_and_sorted_ids",
        ),
    ),
    Trap(
        "new recipient",
        "another reader or size, to have noise drawn anew",
        "the same statistic is the same bytes",
        (
            f"{JOB}::test_another_audience_size_costs_nothing",
            f"{JOB}::test_a_new_reader_gets_the_same_bytes_and_pays_for_what_is_newly_exposed",
            f"{JOB}::test_the_same_statistic_is_drawn_once_however_it_is_asked",
        ),
    ),
    Trap(
        "open job",
        "a job that is run again until it succeeds",
        "it goes on from the first draw",
        (f"{JOB}::test_killed_between_its_two_draws_a_job_goes_on_from_the_first",),
    ),
    Trap(
        "copied room",
        "a copy that spends in private",
        "the window bounds it, and one history is cosigned",
        (
            "cleanroom/test_witness.py::test_a_restored_copy_is_refused_by_the_witness",
            "torture/test_torture.py::test_what_nobody_cosigns_spends_its_window_and_no_more",
        ),
    ),
    # -- what was seen to go wrong at the edges
    Trap(
        "Rich",
        "escape sequences and markup in data",
        "shown harmless",
        ("cli/test_show.py::test_hostile_text_is_shown_harmless", "cli/test_show.py::test_markup_in_data_is_data"),
    ),
    Trap(
        "polars cast",
        "libraries quote cells in their errors",
        "caught at the edge",
        ("cleanroom/test_source.py::test_a_bad_file_is_refused_by_its_rule_and_nothing_of_it_is_said",),
    ),
    Trap(
        "Parquet",
        "files that unpack without end",
        "read within bounds",
        (
            "cleanroom/test_source.py::test_parquet_that_lies_is_a_table_or_a_refusal",
            "cleanroom/test_flat.py::test_what_could_unpack_into_more_is_refused_before_it_does",
        ),
    ),
    Trap(
        "json",
        "NaN, doubled keys, formulas in exports",
        "refused, and defused",
        (
            "cleanroom/test_bundle.py::test_a_manifest_that_is_no_json_is_refused",
            "cleanroom/test_opening.py::test_spreadsheet_formulas_are_defused_in_csv",
        ),
    ),
    Trap(
        "fork",
        "polars hangs after fork",
        "processes are spawned",
        ("cleanroom/test_source.py::test_nothing_of_the_reader_outlives_the_reading",),
    ),
    Trap(
        "Quantise",
        "rounding of ties and of unit norms",
        "half a step up, and towards zero; the bound is enforced afterwards",
        (
            "dp/test_measures.py::test_a_number_is_clipped_then_rounded_and_a_missing_one_adds_nothing",
            "modelling/test_features.py::test_planted_fault_other_roundings_are_caught_by_the_replay",
        ),
    ),
)

PLANTED = {
    "half the noise": "statistical/test_gaussian.py::test_neighbours_under_too_little_noise_are_caught",
    "no clip": f"{REPLAY}::test_a_planted_fault_fails_the_replay",
    "no truncation": f"{REPLAY}::test_a_planted_fault_fails_the_replay",
    "data-dependent keys": f"{REPLAY}::test_keys_taken_from_the_data_fail_the_replay",
    "float sum": f"{REPLAY}::test_a_float_sum_fails_the_shuffle",
    "reused receipt": f"{ATTACKS}::test_a_ledger_that_takes_a_receipt_twice_is_caught",
}
"""Faults that are planted on purpose, and the test that each of them fails."""
