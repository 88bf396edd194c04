use clap::Parser;
#[derive(Parser)] struct A{ #[command(flatten)] r: neuralsmpl::eval::RealArgs }
fn main(){ env_logger::init(); let a=A::parse(); neuralsmpl::eval::run_real(&a.r).unwrap(); }
