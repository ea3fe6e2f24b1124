"""Cases that fail yet, by the reader in whose room each is mended."""

import pytest

UNMENDED = {
    "access": (
        "test_a_run_from_signed_addresses",
        "test_what_is_shown_of_it",
        "test_what_is_said_on_the_way",
        "test_what_no_longer_reads",
        "test_errors",
    ),
    "smb.records": (
        "test_a_spreadsheet_is_read_or_its_dialect_named",
        "test_a_decimal_year_is_not_cut",
        "test_9999_is_no_balance",
        "test_missing_marks_beside_a_good_balance",
        "test_ids_keep_their_leading_zeros",
    ),
    "smb.match": ("test_a_position_on_another_continent_beats_name_and_number",),
    "scenes.cube": (
        "test_a_scene_that_was_reprocessed",
        "test_a_scene_that_was_reprocessed_under_other_times",
        "test_a_search_finds_the_newest_and_tells_of_the_other",
        "test_a_pass_over_the_full_hour_is_one_date",
    ),
    "scenes.catalog": (
        "test_one_odd_item_among_good_ones",
        "test_a_plain_list_of_items",
        "test_two_halves_under_one_id",
        "test_the_later_of_two_revisions",
        "test_a_saved_answer_is_searched_without_the_network",
    ),
    "maps.inference": ("test_missing_pixels_stay_missing", "test_other_shapes_are_named"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        for reader, names in UNMENDED.items():
            if item.path.parent.name == "field" and item.originalname in names:
                item.add_marker(pytest.mark.xfail(reason=f"until {reader} is mended", strict=False))
