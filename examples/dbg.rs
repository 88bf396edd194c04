use neuralsmpl::{pack::Pack, pipeline::*, fit::*, frame::*, eval::*, texture::EnergyKind};
use std::path::Path;
fn main(){
 let pack=Pack::load(Path::new("models/person")).unwrap();
 let clip=Path::new("/tmp/w/real_frames/p2s_single_cam2");
 let fr=read_manifest(&clip.join("manifest.jsonl")).unwrap();
 let mut e=Estimator::new(pack,EstimateOptions{schedule:Schedule::new(Solver::GaussNewton,30),energy:EnergyKind::Paper,box_px:None,max_persons:1,hypotheses:true}).unwrap();
 for i in [2,4,5,7]{ let f=&fr[i]; let im=load_image(&clip.join(&f.image)).unwrap(); e.options_mut().box_px=f.box_px; let k=f.camera().unwrap();
  let p=&e.estimate(&im,&k,Start::Landmarks).unwrap()[0]; println!("frame {} region {:?} score {} steps {} {:?}",f.frame,p.region,p.score,p.steps,p.after);
  let hip=(f.joint("left_hip").unwrap()+f.joint("right_hip").unwrap())*0.5; let ph=(p.keypoints[23]+p.keypoints[24])*0.5;
  for (n,j) in LIMBS { let t=f.joint(n).unwrap(); let tp=k.distort(k.project(t)); let pp=k.distort(k.project(p.keypoints[j]));
    println!("{n:16} truth rel {:.2} px {:.0} | net {:.2} | fit {:.2} px {:.0} c {:.2}", t-hip, tp, p.world[j], p.keypoints[j]-ph, pp,p.keypoint_confidence[j]); }
 }}
