//! Prints what the documentation keeps of the API: the OpenAPI document, or with
//! the argument `table` the Markdown table of endpoints.

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => print!("{}", control::api::openapi_text()),
        Some("table") => print!("{}", control::api::endpoint_table()),
        Some(other) => {
            eprintln!("`{other}` is nothing that is printed here: give `table` or nothing");
            std::process::exit(2);
        }
    }
}
